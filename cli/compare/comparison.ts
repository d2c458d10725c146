/** What two or more runs have in common and where they differ, from their folders alone. */
import { basename, resolve } from 'node:path';
import { DataError, plural } from '../../data/errors.js';
import type { PhotoScores } from '../evaluation.js';
import type { SplitResult } from '../finish.js';
import { type EpochRecord, RunFolder } from '../runFolder.js';
import type { RunSettings } from '../settings.js';
import { type Interval, pairedBootstrap } from './bootstrap.js';

export interface ComparedRun {
  folder: RunFolder;
  /** The folder's name; its path where two runs would have the same. */
  name: string;
  settings: RunSettings;
  history: EpochRecord[];
  result: SplitResult;
  /** Of the photos that all runs have measured, in the order of the first run's. */
  photos: PhotoScores[];
}

export interface Comparison {
  /** The first is what the others are compared with. */
  runs: ComparedRun[];
  split: SplitResult['split'];
  /** Of the mean Dice of each further run minus the first's. */
  intervals: Interval[];
  /** What the reader has to know before the numbers: photos left out, runs that are not alike. */
  notes: string[];
}

/**
 * Compares the test scores, or those of the validation where a run has no test photos.
 * @throws DataError when a run is not there or not finished, or when the runs share no photo
 */
export function compareRuns(paths: readonly string[]): Comparison {
  const names = nameRuns(paths);
  const opened = paths.map((path, i) => {
    const folder = RunFolder.at(path);
    const settings = folder.requireJson<RunSettings>('settings');
    const [valid, test] = [folder.readJson<SplitResult>('valid'), folder.readJson<SplitResult>('test')];
    if (!folder.isFinished || !valid) {
      throw new DataError(`${path} has not been measured yet: its training is not over; trimap resume ${path} ends it`);
    }
    return { folder, name: names[i], settings, history: folder.readHistory(), valid, test };
  });
  const notes: string[] = [];
  const withoutTest = opened.filter(({ test }) => !test);
  if (withoutTest.length > 0) {
    notes.push(
      `${withoutTest.map(({ name }) => name).join(', ')} measured no test photos: validation photos are compared, ` +
        'whose scores are a little too good since they chose the weights',
    );
  }
  const measured = opened.map(({ valid, test, ...run }) => ({
    ...run,
    result: withoutTest.length > 0 ? valid : test!,
  }));
  const common = commonPhotos(measured, notes);
  const runs = measured.map((run) => {
    const byName = new Map(run.result.photos.map((photo) => [photo.name, photo]));
    return { ...run, photos: common.map((name) => byName.get(name)!) };
  });
  noteDifferentTruth(runs, notes);
  const [first, ...others] = runs.map(({ photos }) => photos.map(({ dice }) => dice));
  const intervals = others.map((other) => pairedBootstrap(first, other));
  return { runs, split: runs[0].result.split, intervals, notes };
}

/** The folder's names, unless two are the same. */
function nameRuns(paths: readonly string[]): string[] {
  const own = paths.map((path) => basename(resolve(path)));
  return own.map((name, i) => (own.filter((other) => other === name).length > 1 ? paths[i] : name));
}

type Measured = Pick<ComparedRun, 'name' | 'result'>;

/** Names of the photos that all runs have measured; says which runs have others. */
function commonPhotos(runs: readonly Measured[], notes: string[]): string[] {
  const sets = runs.map(({ result }) => new Set(result.photos.map(({ name }) => name)));
  const common = [...sets[0]].filter((name) => sets.every((set) => set.has(name)));
  const { split } = runs[0].result;
  if (common.length === 0) {
    const have = runs.map(({ name, result }) => `${name} has ${result.photos[0]?.name ?? 'none'}`).join(', ');
    throw new DataError(
      `the runs have no ${split} photo in common (${have}, ...); measure both on the same data with trimap train --split`,
    );
  }
  const others = runs.flatMap(({ name }, i) => {
    const more = sets[i].size - common.length;
    return more > 0 ? [`${name} ${more} more`] : [];
  });
  if (others.length > 0) {
    notes.push(`compared on the ${plural(common.length, `${split} photo`)} in common; left out: ${others.join(', ')}`);
  }
  return common;
}

/** Scores against other masks, or masks of another size, are not quite the same measure. */
function noteDifferentTruth(runs: readonly ComparedRun[], notes: string[]): void {
  const differing = <T>(what: string, of: (run: ComparedRun) => T, why: string) => {
    if (new Set(runs.map(of)).size === 1) return;
    notes.push(`${what} differs (${runs.map((run) => `${run.name}: ${String(of(run))}`).join(', ')}): ${why}`);
  };
  differing('the size of masks', ({ result }) => result.size, "each run's scores are taken at its own");
  differing(
    'the border rule',
    ({ result }) => result.border,
    'the true masks are not the same, and nor is what scores mean',
  );
  differing('the data set', ({ settings }) => settings.dataPath, 'photos are taken for the same by their names');
}

/** The photos whose Dice differs most between any two runs, the largest difference first. */
export function mostDifferent({ runs }: Pick<Comparison, 'runs'>, count: number): number[] {
  const spread = (i: number) => {
    const values = runs.map(({ photos }) => photos[i].dice);
    return Math.max(...values) - Math.min(...values);
  };
  return runs[0].photos
    .map((_, i) => ({ i, by: spread(i) }))
    .filter(({ by }) => by > 0)
    .sort((a, b) => b.by - a.by)
    .slice(0, count)
    .map(({ i }) => i);
}
