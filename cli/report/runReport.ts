/** The report of one run, from its folder alone: whatever is there already, while it runs and after. */
import { basename, resolve } from 'node:path';
import { writeFileAtomic } from '../../data/files.js';
import type { RunState } from '../claim.js';
import type { Environment } from '../environment.js';
import type { SplitResult } from '../finish.js';
import type { EpochRecord, RunFolder } from '../runFolder.js';
import type { RunSettings } from '../settings.js';
import { curveTitle, curves } from './curves.js';
import { page, type Section } from './page.js';
import { casesSection, hardSection, samplesSection } from './photoSections.js';
import { svgToPng } from './raster.js';
import {
  curvesSection,
  distributionSection,
  leadOf,
  scoresSection,
  settingsSection,
  summarySection,
} from './runSections.js';

/** What a run's folder says. */
export interface RunRecord {
  folder: RunFolder;
  /** The folder's name. */
  name: string;
  state: RunState;
  settings: RunSettings;
  environment?: Environment;
  history: EpochRecord[];
  valid?: SplitResult;
  test?: SplitResult;
}

/**
 * @param state of the run, which the folder does not tell before everything is written
 * @throws DataError when it is no folder of a run
 */
export function readRun(folder: RunFolder, state: RunState): RunRecord {
  const settings = folder.requireJson<RunSettings>('settings');
  const history = folder.readHistory();
  // Scores of a run that goes on after its end are those of fewer epochs; they are measured again.
  const ended = state === 'finished';
  return {
    folder,
    name: basename(resolve(folder.path)),
    state,
    settings,
    environment: folder.readJson('environment'),
    history,
    valid: ended ? folder.readJson('valid') : undefined,
    test: ended ? folder.readJson('test') : undefined,
  };
}

/** The curves as files: SVG, and PNG at twice its size. */
export function curveFiles({ name, settings, history }: RunRecord): { svg: string; png: Buffer } {
  const title = curveTitle(name, settings);
  const { svg } = curves(history, { id: 'curves', width: 1000, columns: 2, title, epochs: settings.epochs });
  return { svg, png: svgToPng(svg, 2) };
}

/** Writes `curves.svg`, `curves.png` and `report.html`. */
export function writeReport(folder: RunFolder, state: RunState): void {
  const run = readRun(folder, state);
  if (run.history.length > 0) {
    const { svg, png } = curveFiles(run);
    writeFileAtomic(folder.file('curvesSvg'), svg);
    writeFileAtomic(folder.file('curvesPng'), png);
  }
  writeFileAtomic(folder.file('report'), reportPage(run));
}

/** @param live whether the page is served, and follows the run */
export function reportPage(run: RunRecord, live = false): string {
  const sections: (Section | undefined)[] = [
    summarySection(run),
    curvesSection(run),
    scoresSection(run),
    distributionSection(run),
    casesSection(run),
    hardSection(run),
    samplesSection(run),
    settingsSection(run),
  ];
  return page({
    title: run.name,
    lead: leadOf(run),
    sections: sections.filter((section) => section !== undefined),
    live,
  });
}
