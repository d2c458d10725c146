/** The table of a comparison: what the runs were asked to do differently, and what came of it. */
import { bestEpoch } from '../report/curves.js';
import { flatten } from '../report/runSections.js';
import { duration, mebibytes, table } from '../progress.js';
import type { Interval } from './bootstrap.js';
import type { ComparedRun, Comparison } from './comparison.js';

export interface Row {
  name: string;
  /** A text a run. */
  values: string[];
}

export const four = (value: number): string => value.toFixed(4);

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Settings that are not the same in all runs, in their order; `-` where a run has no such setting. */
export function differingSettings(runs: readonly ComparedRun[]): Row[] {
  const flat = runs.map(({ settings }) => new Map(flatten(settings)));
  const names = [...new Set(flat.flatMap((settings) => [...settings.keys()]))];
  return names
    .map((name) => ({ name, values: flat.map((settings) => settings.get(name) ?? '-') }))
    .filter(({ values }) => new Set(values).size > 1);
}

/** What came of a run: means over the common photos, and what the training took. */
export interface Outcome {
  dice: number;
  iou: number;
  precision: number;
  recall: number;
  /** At 2 pixels; null where the boundary was not measured. */
  boundary_f: number | null;
  lowest_dice: number;
  best_valid_dice: number;
  best_epoch: number;
  epochs: number;
  seconds: number;
  /** Mean over the epochs. */
  images_per_second: number;
  peak_bytes: number;
}

export function outcomeOf({ photos, history }: ComparedRun): Outcome {
  const over = (key: 'dice' | 'iou' | 'precision' | 'recall') => mean(photos.map((photo) => photo[key]));
  const boundaries = photos.flatMap(({ boundary_f }) => (boundary_f === null ? [] : [boundary_f]));
  const best = bestEpoch(history)!;
  return {
    dice: over('dice'),
    iou: over('iou'),
    precision: over('precision'),
    recall: over('recall'),
    boundary_f: boundaries.length === photos.length ? mean(boundaries) : null,
    lowest_dice: Math.min(...photos.map(({ dice }) => dice)),
    best_valid_dice: best.valid_dice,
    best_epoch: best.epoch,
    epochs: history.length,
    seconds: history.reduce((sum, { seconds }) => sum + seconds, 0),
    images_per_second: mean(history.map((one) => one.images_per_second)),
    peak_bytes: Math.max(...history.map(({ peak_bytes }) => peak_bytes)),
  };
}

export function outcomeRows(runs: readonly ComparedRun[]): Row[] {
  const outcomes = runs.map(outcomeOf);
  const row = (name: string, show: (one: Outcome) => string): Row => ({ name, values: outcomes.map(show) });
  return [
    row('Dice', ({ dice }) => four(dice)),
    row('IoU', ({ iou }) => four(iou)),
    row('precision', ({ precision }) => four(precision)),
    row('recall', ({ recall }) => four(recall)),
    row('boundary F at 2 px', ({ boundary_f }) => (boundary_f === null ? '-' : four(boundary_f))),
    row('lowest Dice of a photo', ({ lowest_dice }) => four(lowest_dice)),
    row('best validation Dice', ({ best_valid_dice }) => four(best_valid_dice)),
    row('in epoch', ({ best_epoch, epochs }) => `${best_epoch} of ${epochs}`),
    row('training took', ({ seconds }) => duration(seconds)),
    row('images per second', ({ images_per_second }) => images_per_second.toFixed(1)),
    row('device memory', ({ peak_bytes }) => mebibytes(peak_bytes)),
  ];
}

const signed = (value: number): string => `${value < 0 ? '-' : '+'}${four(Math.abs(value))}`;

/** "b - a: Dice +0.0123, 95 % interval +0.0045 to +0.0201". */
export function describeInterval(a: string, b: string, { difference, low, high }: Interval): string {
  const verdict =
    low > 0
      ? `${b} is better on photos like these`
      : high < 0
        ? `${a} is better on photos like these`
        : 'these photos do not tell which is better';
  return `${b} minus ${a}: Dice ${signed(difference)}, 95 % interval ${signed(low)} to ${signed(high)}: ${verdict}`;
}

/** How often each of two runs is the better one. */
export function wins(a: ComparedRun, b: ComparedRun): { a: number; b: number; equal: number } {
  const signs = a.photos.map(({ dice }, i) => Math.sign(b.photos[i].dice - dice));
  const count = (sign: number) => signs.filter((one) => one === sign).length;
  return { a: count(-1), b: count(1), equal: count(0) };
}

/** For a terminal. */
export function summaryText(comparison: Comparison): string {
  const { runs, split, intervals, notes } = comparison;
  const [first, ...others] = runs;
  const settings = differingSettings(runs);
  // A long path would push the columns out of sight; the page has it whole.
  const short = (value: string) => (value.length > 28 ? `...${value.slice(-25)}` : value);
  const rows = (list: readonly Row[]) => list.map(({ name, values }) => [name, ...values.map(short)]);
  const heads = [`${split}, ${first.photos.length} photos`, ...runs.map(({ name }) => name)];
  const metrics = outcomeRows(runs);
  return [
    ...notes.map((note) => `note: ${note}`),
    ...(notes.length > 0 ? [''] : []),
    table([heads, ...rows(metrics), ['settings that differ', ...runs.map(() => '')], ...rows(settings)]).replace(
      / +$/gm,
      '',
    ),
    '',
    ...others.map((other, i) => describeInterval(first.name, other.name, intervals[i])),
  ].join('\n');
}
