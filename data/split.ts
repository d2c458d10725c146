/** A split given by a file of names, such as a run's `split.json`, instead of the data set's own. */
import { existsSync, readFileSync } from 'node:fs';
import type { Dataset, Sample, SplitName } from './dataset.js';
import { DataError, listNames, plural } from './errors.js';

export type SplitNames = Record<SplitName, string[]>;

const splits: readonly SplitName[] = ['train', 'valid', 'test'];

/** @throws DataError when the file is not there, or does not hold a list of names for each split */
export function readSplit(file: string): SplitNames {
  if (!existsSync(file)) throw new DataError(`${file} does not exist; give a split such as runs/unet/split.json`);
  let given: Partial<Record<SplitName, unknown>>;
  try {
    given = JSON.parse(readFileSync(file, 'utf8')) ?? {};
  } catch (error) {
    throw new DataError(`${file} is not JSON (${(error as Error).message})`);
  }
  const isList = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((name) => typeof name === 'string');
  const wrong = splits.find((split) => !isList(given[split]));
  if (wrong) throw new DataError(`${file}: "${wrong}" is no list of names; it needs "train", "valid" and "test"`);
  return given as SplitNames;
}

/**
 * The data set with the samples of the file alone, in the data set's order, so that a run's own split gives the same run
 * again.
 * @throws DataError naming what the data set does not have
 */
export function applySplit(dataset: Dataset, file: string): Dataset {
  const names = readSplit(file);
  const listed = Object.fromEntries(splits.map((split) => [split, new Set(names[split])])) as Record<
    SplitName,
    Set<string>
  >;
  const samples = dataset.samples.flatMap((sample): Sample[] => {
    // A list may have a photo for training and for the test both; then there are two samples of the name.
    const split = listed[sample.split].has(sample.name)
      ? sample.split
      : splits.find((other) => listed[other].has(sample.name));
    return split ? [{ ...sample, split }] : [];
  });
  const taken = new Set(samples.map(({ split, name }) => `${split} ${name}`));
  const absent = splits.flatMap((split) => names[split].filter((name) => !taken.has(`${split} ${name}`)));
  if (absent.length > 0) {
    throw new DataError(
      `${file} names ${plural(absent.length, 'photo')} that ${dataset.root} has not, or not as often: ` +
        `${listNames(absent, 5)}; is it the split of another data set?`,
    );
  }
  const counts = splits.map((split) => samples.filter((sample) => sample.split === split).length);
  const rest = dataset.samples.length - samples.length;
  const note =
    `split of ${file}: ${counts[0]} training, ${counts[1]} validation, ${counts[2]} test photos` +
    (rest > 0 ? `; ${plural(rest, 'photo')} in none of them, not used` : '');
  return { ...dataset, samples, notes: [...dataset.notes, note] };
}
