/** How Dice is spread over the photos of a split: a histogram, and box plots by breed. */
import type { PhotoScores } from '../evaluation.js';
import { axis, type Chart, drawChart, niceStep, textWidth } from './chart.js';
import { BLUE, INK, PAPER } from './palette.js';

export interface Bin {
  from: number;
  to: number;
  count: number;
}

/** Counts values of 0 to 1 in equal bins from a round number below the smallest up to 1, which the last one includes. */
export function histogram(values: readonly number[], bins: number): Bin[] {
  const smallest = Math.min(1, ...values);
  const step = niceStep(Math.max(1 - smallest, 0.02), bins);
  // Bins are counted from 1 downwards; the slack keeps a value that is a bin's edge in the bin above it.
  const count = Math.max(1, Math.ceil((1 - smallest) / step - 1e-9));
  const edge = (i: number) => Math.max(0, Number((1 - (count - i) * step).toFixed(6)));
  const counts = new Array<number>(count).fill(0);
  for (const value of values) {
    counts[Math.min(Math.max(Math.floor((value - edge(0)) / step + 1e-9), 0), count - 1)]++;
  }
  return counts.map((own, i) => ({ from: edge(i), to: edge(i + 1), count: own }));
}

export function histogramChart(photos: readonly PhotoScores[], id: string, width: number): Chart {
  const bins = histogram(
    photos.map(({ dice }) => dice),
    20,
  );
  const frame = { left: 58, top: 12, right: width - 18, bottom: 232 };
  const plot = frame.right - frame.left;
  const from = bins[0].from;
  const step = niceStep(1 - from, width > 600 ? 10 : 4);
  const min = roundDown(from, step);
  const option = {
    grid: { left: frame.left, top: frame.top, width: plot, height: frame.bottom - frame.top },
    // Bars are as wide as their bins, so the axis needs no room for halves of them.
    xAxis: axis({ type: 'value', containShape: false, min, max: 1, name: 'Dice', nameGap: 24, interval: step }, false),
    yAxis: axis({ type: 'value', minInterval: 1, name: 'photos', nameGap: 38, splitNumber: 4 }, true),
    series: {
      type: 'bar',
      silent: true,
      barWidth: Math.max(2, (plot * (1 - from)) / (1 - min) / bins.length - 2),
      color: BLUE,
      data: bins.map(({ from, to, count }) => [(from + to) / 2, count]),
    },
  };
  return drawChart(id, width, 280, option, (toPixel) => [
    {
      ...frame,
      by: 'x',
      names: ['photos:'],
      colours: [BLUE],
      points: bins.map(({ from, to, count }) => [
        round(toPixel(0, [(from + to) / 2, 0])[0]),
        frame.bottom,
        `Dice ${from} to ${to}`,
        String(count),
      ]),
    },
  ]);
}

export interface Spread {
  name: string;
  count: number;
  mean: number;
  /** Smallest, quartiles, largest. */
  five: [number, number, number, number, number];
}

/** Dice by breed, the lowest median first. Photos without a breed are left out. */
export function byBreed(photos: readonly PhotoScores[]): Spread[] {
  const breeds = new Map<string, number[]>();
  for (const { breed, dice } of photos) {
    if (breed === undefined) continue;
    breeds.set(breed, [...(breeds.get(breed) ?? []), dice]);
  }
  return [...breeds]
    .map(([name, values]) => spread(name, values))
    .sort((a, b) => a.five[2] - b.five[2] || a.name.localeCompare(b.name));
}

function spread(name: string, values: number[]): Spread {
  const sorted = values.sort((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const five = [0, 0.25, 0.5, 0.75, 1].map((share) => quantile(sorted, share)) as Spread['five'];
  return { name, count: sorted.length, mean, five };
}

/** Linear between the two nearest values, as numpy.quantile has it by default. */
export function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

export function breedChart(spreads: readonly Spread[], id: string, width: number): Chart {
  const row = 22;
  const label = ({ name, count }: Spread) => `${name.replaceAll('_', ' ')} (${count})`;
  const left = Math.min(Math.max(...spreads.map((one) => textWidth(label(one), 11))) + 16, width * 0.5);
  const frame = { left, top: 8, right: width - 24, bottom: 8 + row * spreads.length };
  const lowest = Math.min(...spreads.map(({ five }) => five[0]));
  const step = niceStep(Math.max(1 - lowest, 0.01), width > 600 ? 8 : 3);
  const option = {
    grid: { left, top: frame.top, width: frame.right - left, height: frame.bottom - frame.top },
    xAxis: axis(
      {
        type: 'value',
        min: roundDown(lowest, step),
        max: 1,
        interval: step,
        name: 'Dice',
        nameGap: 24,
      },
      true,
    ),
    yAxis: axis(
      {
        type: 'category',
        inverse: true,
        data: spreads.map(label),
        axisLabel: { color: INK, fontSize: 11, interval: 0, width: left - 12, overflow: 'truncate' },
      },
      false,
    ),
    series: {
      type: 'boxplot',
      silent: true,
      boxWidth: [8, 12],
      itemStyle: { color: PAPER, borderColor: BLUE, borderWidth: 1.5 },
      data: spreads.map(({ five }) => five),
    },
  };
  return drawChart(id, width, frame.bottom + 48, option, (toPixel) => [
    {
      ...frame,
      by: 'y',
      names: ['photos', 'mean', 'median', 'middle half', 'all'],
      colours: [],
      points: spreads.map((one, i) => {
        const [low, first, median, third, high] = one.five.map((value) => value.toFixed(4));
        const [x, y] = toPixel(0, [one.five[2], i]);
        const values = [String(one.count), one.mean.toFixed(4), median, `${first} to ${third}`, `${low} to ${high}`];
        return [round(x), round(y), one.name.replaceAll('_', ' '), ...values];
      }),
    },
  ]);
}

/** The multiple of `step` at or below a value, without the digits that binary fractions add. */
const roundDown = (value: number, step: number): number => Number((Math.floor(value / step + 1e-9) * step).toFixed(6));

const round = (pixels: number): number => Math.round(pixels * 10) / 10;
