/** The curves of one run from its history. */
import type { EpochRecord } from '../runFolder.js';
import type { RunSettings } from '../settings.js';
import type { Chart } from './chart.js';
import { lineChart, type Line, type LinePanel } from './lineChart.js';
import { BLUE, GREEN, PURPLE, VERMILLION } from './palette.js';

/** What the curves show of an epoch. */
export type CurvePoint = Pick<
  EpochRecord,
  | 'epoch'
  | 'train_loss_augmented'
  | 'train_dice_augmented'
  | 'valid_loss'
  | 'valid_dice'
  | 'learning_rate'
  | 'gradient_norm'
>;

/** The heading of a run's curves, where they stand alone. */
export const curveTitle = (run: string, { net, size, baseWidth }: RunSettings): string =>
  `${run}: ${net}, base width ${baseWidth}, ${size}x${size} pixels`;

export interface CurveSettings {
  id: string;
  width: number;
  columns: 1 | 2;
  title?: string;
  /** Of the whole run, so that one can see how far it has come; default: those done. */
  epochs?: number;
}

const TRAINING = 'training, with augmentation';
const VALIDATION = 'validation';

const four = (value: number): string => value.toFixed(4);
const three = (value: number): string => String(Number(value.toPrecision(3)));
const exponential = (value: number): string => value.toExponential(2).replace(/\.?0*e\+?/, 'e');

/** The epoch with the highest validation Dice; the first of equals. Undefined without any. */
export function bestEpoch<T extends Pick<CurvePoint, 'valid_dice'>>(history: readonly T[]): T | undefined {
  return history.reduce<T | undefined>(
    (best, one) => (best === undefined || one.valid_dice > best.valid_dice ? one : best),
    undefined,
  );
}

/** Loss and Dice of training and validation with the best epoch marked, learning rate, and the gradients' norm. */
export function curves(history: readonly CurvePoint[], settings: CurveSettings): Chart {
  const { epochs, ...place } = settings;
  return lineChart({ ...place, lastEpoch: epochs, panels: panels(history) });
}

function panels(history: readonly CurvePoint[]): LinePanel[] {
  const best = bestEpoch(history);
  const line = (name: string, colour: string, of: (one: CurvePoint) => number, dashed = false): Line => ({
    name,
    colour,
    dashed,
    points: history.map((one) => [one.epoch, of(one)]),
  });
  const training = (of: (one: CurvePoint) => number) => line(TRAINING, VERMILLION, of, true);
  const validation = (of: (one: CurvePoint) => number) => line(VALIDATION, BLUE, of);
  const rates = history.map((one) => one.learning_rate).filter((rate) => rate > 0);
  return [
    {
      title: 'Loss',
      lines: [training((one) => one.train_loss_augmented), validation((one) => one.valid_loss)],
      format: four,
      marks: best ? [{ epoch: best.epoch, colour: BLUE }] : [],
      height: 210,
    },
    {
      title: best ? `Dice (best ${four(best.valid_dice)}, epoch ${best.epoch})` : 'Dice',
      lines: [training((one) => one.train_dice_augmented), validation((one) => one.valid_dice)],
      format: four,
      marks: best ? [{ epoch: best.epoch, value: best.valid_dice, colour: BLUE }] : [],
      height: 210,
    },
    {
      title: 'Learning rate (at the end of the epoch)',
      lines: [line('learning rate', GREEN, (one) => one.learning_rate)],
      format: exponential,
      axisFormat: exponential,
      height: 110,
      logarithmic: rates.length === history.length && Math.max(...rates) > 20 * Math.min(...rates),
    },
    {
      title: 'Norm of the gradients (mean of the epoch)',
      lines: [line('norm of the gradients', PURPLE, (one) => one.gradient_norm)],
      format: three,
      height: 110,
    },
  ];
}
