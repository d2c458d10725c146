/** `trimap compare RUN RUN ...`: a table in the terminal, and a page. */
import { DataError } from '../../data/errors.js';
import { writeFileAtomic } from '../../data/files.js';
import { DeviceError } from '../../engine/device.js';
import { UsageError } from '../errors.js';
import { type OutputFlags, Progress } from '../progress.js';
import { MOST_RUNS } from './charts.js';
import { compareRuns, type Comparison, mostDifferent } from './comparison.js';
import { comparisonPage } from './page.js';
import { type DifferentCase, predictCases } from './panels.js';
import { differingSettings, outcomeOf, summaryText } from './summary.js';

export interface CompareFlags extends OutputFlags {
  runs: string[];
  output?: string;
  adapter?: string;
}

/** Photos of which the page shows panels. */
const CASES = 12;

export async function compare({
  runs: paths,
  output = 'comparison.html',
  adapter,
  json,
  quiet,
}: CompareFlags): Promise<number> {
  if (paths.length < 2) throw new UsageError('give two runs or more to compare, such as runs/unet runs/unet-2');
  if (paths.length > MOST_RUNS) throw new UsageError(`${paths.length} runs: at most ${MOST_RUNS} are compared at once`);
  const progress = Progress.of({ json, quiet });
  progress.line(`comparing ${paths.join(', ')}`);
  const comparison = compareRuns(paths);
  const cases = await draw(comparison, adapter, progress);
  writeFileAtomic(output, comparisonPage(comparison, cases));
  if (json) progress.json(summaryJson(comparison, output));
  else progress.result(`\n${summaryText(comparison)}\n\npage: ${output}`);
  return 0;
}

/** The panels; where photos, weights or adapter are not there any more, a note says so, and the numbers are as good. */
async function draw(
  comparison: Comparison,
  adapter: string | undefined,
  progress: Progress,
): Promise<DifferentCase[] | undefined> {
  const { runs, split, notes } = comparison;
  const chosen = mostDifferent(comparison, CASES);
  if (chosen.length === 0) {
    notes.push('every photo has the same Dice in all runs, so there are no panels');
    return undefined;
  }
  const { openDevice } = await import('../../engine/dawn.js');
  const precision = runs.some(({ settings }) => settings.precision === 'f16') ? 'f16' : 'f32';
  // An adapter that was asked for by name has to be there.
  const device = await openDevice({ adapter, precision });
  try {
    progress.line(`adapter: ${device.description}`);
    return await predictCases(device, runs, split, chosen, progress);
  } catch (error) {
    if (!(error instanceof DataError || error instanceof DeviceError)) throw error;
    progress.warning(`no panels: ${error.message}`);
    notes.push(`no panels of photos could be drawn: ${error.message}`);
    return undefined;
  } finally {
    progress.clear();
    device.close();
  }
}

function summaryJson({ runs, split, intervals, notes }: Comparison, page: string): object {
  const differing = differingSettings(runs);
  return {
    split,
    photos: runs[0].photos.length,
    runs: runs.map((run, i) => ({
      name: run.name,
      path: run.folder.path,
      settings: Object.fromEntries(differing.map(({ name, values }) => [name, values[i]])),
      ...outcomeOf(run),
    })),
    intervals: intervals.map((interval, i) => ({ run: runs[i + 1].name, minus: runs[0].name, ...interval })),
    notes,
    page,
  };
}
