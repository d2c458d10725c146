/**
 * Statistics of the training photos, from one pass over the files at their own sizes.
 *
 * Every pixel counts the same, so a large photo counts more than a small one. Sums and sums of squares of the bytes are
 * kept as integers, which makes mean and standard deviation exact up to the last division: var = (n Q - S^2) / n^2
 * loses nothing where the numerator is exact.
 */
import { relative } from 'node:path';
import { applyPolicy, type Dataset } from './dataset.js';
import { DataError, type BadFile } from './errors.js';
import { background, border, foreground, readBinaryMasks, trimapBytes, type MaskValues } from './maskValues.js';
import { readPair, type PairJob } from './prepare.js';
import { defaultWorkers, runJobs } from './workers.js';

/** The sums of one photo's bytes (R, G, B), exact: 100 megapixels stay below 2^43. */
interface PhotoSums {
  bad?: undefined;
  height: number;
  width: number;
  sums: number[];
  squares: number[];
  values: MaskValues;
}

/** What a worker thread does for a photo: its sums, or why it cannot be used. */
export function measureSample(job: PairJob): { bad: BadFile[] } | PhotoSums {
  const { pair, bad } = readPair(job);
  if (!pair) return { bad };
  const { height, width, pixels } = pair.photo;
  const sums = [0, 0, 0];
  const squares = [0, 0, 0];
  for (let channel = 0; channel < 3; channel++) {
    let sum = 0;
    let square = 0;
    for (let i = channel; i < pixels.length; i += 3) {
      sum += pixels[i];
      square += pixels[i] * pixels[i];
    }
    sums[channel] = sum;
    squares[channel] = square;
  }
  return { height, width, sums, squares, values: pair.values };
}

/** Pixels; the median of an even number of photos is the mean of the two in the middle. */
export interface Spread {
  min: number;
  median: number;
  max: number;
}

export interface DatasetStats {
  photos: number;
  pixels: number;
  /** R, G, B over all pixels, with bytes read as 0..1. */
  mean: number[];
  /** Of the population: the sum of squared distances divided by the number of pixels. */
  std: number[];
  /** Share of the pixels: pet, background and border of trimaps, else foreground and background. */
  maskShares: Record<string, number>;
  height: Spread;
  width: Spread;
  /** Lines for the user: which files were left out, how masks were read. */
  notes: string[];
}

export interface StatsOptions {
  /** Threads that decode. */
  workers?: number;
  onProgress?: (done: number, total: number) => void;
}

/**
 * Measures the training split. Throws DataError naming the files that cannot be used, unless the data set says to skip
 * them; when no photo is left; when mask values cannot be read.
 */
export async function measureTraining(dataset: Dataset, options: StatsOptions = {}): Promise<DatasetStats> {
  const { workers = defaultWorkers, onProgress } = options;
  const samples = dataset.samples.filter(({ split }) => split === 'train');
  const { maskRule } = dataset;
  const bad: BadFile[] = [];
  const heights: number[] = [];
  const widths: number[] = [];
  const masks: { file: string; values: MaskValues }[] = [];
  const sums = [0n, 0n, 0n];
  const squares = [0n, 0n, 0n];
  let done = 0;
  await runJobs(
    'measure',
    samples.map(({ image, mask }) => ({ image, mask, maskRule })),
    workers,
    (i, result) => {
      if (result.bad) {
        bad.push(...result.bad);
      } else {
        heights.push(result.height);
        widths.push(result.width);
        masks.push({ file: relative(dataset.root, samples[i].mask), values: result.values });
        result.sums.forEach((sum, channel) => (sums[channel] += BigInt(sum)));
        result.squares.forEach((square, channel) => (squares[channel] += BigInt(square)));
      }
      onProgress?.(++done, samples.length);
    },
  );
  const notes: string[] = [];
  applyPolicy(dataset, [...dataset.missing, ...bad], notes);
  if (masks.length === 0) throw new DataError(`${dataset.root}: no usable training photo to measure`);
  if (maskRule === 'binary') notes.push(readBinaryMasks(masks));

  const pixels = heights.reduce((total, height, i) => total + height * widths[i], 0);
  const count = BigInt(pixels);
  const variance = (channel: number) =>
    Number(count * squares[channel] - sums[channel] * sums[channel]) / (pixels * pixels);
  return {
    photos: masks.length,
    pixels,
    mean: sums.map((sum) => Number(sum) / pixels / 255),
    std: sums.map((_, channel) => Math.sqrt(variance(channel)) / 255),
    maskShares: maskShares(masks, maskRule, pixels),
    height: spread(heights),
    width: spread(widths),
    notes,
  };
}

function maskShares(
  masks: readonly { values: MaskValues }[],
  maskRule: Dataset['maskRule'],
  pixels: number,
): Record<string, number> {
  const totals = [0, 0, 0];
  for (const { values } of masks) {
    for (const [value, count] of values.counts) {
      const byte = maskRule === 'trimap' ? trimapBytes[value] : value === 0 ? background : foreground;
      totals[byte!] += count;
    }
  }
  const share = (byte: number) => totals[byte] / pixels;
  if (maskRule === 'binary') return { foreground: share(foreground), background: share(background) };
  return { pet: share(foreground), background: share(background), border: share(border) };
}

function spread(lengths: readonly number[]): Spread {
  const sorted = [...lengths].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted[sorted.length - 1] };
}
