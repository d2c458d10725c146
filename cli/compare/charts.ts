/** The charts of a comparison: curves of all runs over each other, and photo against photo. */
import { axis, type Chart, drawChart, niceStep } from '../report/chart.js';
import { lineChart, type Line } from '../report/lineChart.js';
import { BLUE, MUTED, SERIES } from '../report/palette.js';
import type { EpochRecord } from '../runFolder.js';
import type { ComparedRun } from './comparison.js';
import { four } from './summary.js';

/** One colour a run, and so as many runs at most. */
export const MOST_RUNS = SERIES.length;

/** Validation and training of every run; a run has one colour, and training is dashed. */
export function overlaidCurves(runs: readonly ComparedRun[], id: string, width: number, columns: 1 | 2): Chart {
  const lines = (of: (record: EpochRecord) => number, dashed = false): Line[] =>
    runs.map(({ name, history }, i) => ({
      name: dashed ? `${name}, training` : name,
      colour: SERIES[i],
      dashed,
      points: history.map((record) => [record.epoch, of(record)] as const),
    }));
  const panel = (title: string, own: Line[]) => ({ title, lines: own, format: four, height: 220 });
  return lineChart({
    id,
    width,
    columns,
    panels: [
      panel(
        'Validation Dice',
        lines((one) => one.valid_dice),
      ),
      panel(
        'Validation loss',
        lines((one) => one.valid_loss),
      ),
      panel(
        'Training Dice, with augmentation',
        lines((one) => one.train_dice_augmented, true),
      ),
      panel(
        'Training loss, with augmentation',
        lines((one) => one.train_loss_augmented, true),
      ),
    ],
  });
}

/** A point a photo: across the Dice of `a`, up that of `b`, with the line on which both are equal. */
export function scatterChart(a: ComparedRun, b: ComparedRun, id: string, width: number): Chart {
  const side = Math.min(width, 560);
  const frame = { left: 62, top: 14, right: side - 18, bottom: side - 18 };
  const points = a.photos.map(({ name, dice }, i) => ({ name, a: dice, b: b.photos[i].dice }));
  const lowest = Math.min(...points.flatMap((point) => [point.a, point.b]));
  const step = niceStep(Math.max(1 - lowest, 0.02), 6);
  const min = Number(Math.max(0, Math.floor(lowest / step + 1e-9) * step).toFixed(6));
  const value = (name: string) => ({ type: 'value', min, max: 1, interval: step, name, nameGap: 30 });
  const option = {
    grid: { left: frame.left, top: frame.top, width: frame.right - frame.left, height: frame.bottom - frame.top },
    xAxis: axis(value(`Dice, ${a.name}`), true),
    yAxis: axis({ ...value(`Dice, ${b.name}`), nameGap: 42 }, true),
    series: [
      {
        type: 'line',
        silent: true,
        symbol: 'none',
        lineStyle: { color: MUTED, width: 1, type: [4, 4] },
        data: [
          [min, min],
          [1, 1],
        ],
      },
      {
        type: 'scatter',
        silent: true,
        symbolSize: 7,
        itemStyle: { color: BLUE, opacity: 0.55 },
        data: points.map((point) => [point.a, point.b]),
      },
    ],
  };
  const round = (pixels: number) => Math.round(pixels * 10) / 10;
  return drawChart(id, side, side + 34, option, (toPixel) => [
    {
      ...frame,
      by: 'xy',
      names: [a.name, b.name],
      colours: [],
      points: [...points]
        .sort((one, other) => one.a - other.a)
        .map((point) => {
          const [x, y] = toPixel(0, [point.a, point.b]);
          return [round(x), round(y), point.name, four(point.a), four(point.b)] as const;
        }),
    },
  ]);
}
