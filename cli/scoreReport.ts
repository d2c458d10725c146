/** What `trimap evaluate` prints: the scores of one split, and what each of them means. */
import { plural } from '../data/errors.js';
import type { ReportScores } from '../engine/metrics.js';
import type { Scores } from './evaluation.js';
import { table } from './progress.js';
import type { Border } from './settings.js';

export interface Measured {
  split: string;
  scores: Scores;
  /** Probability above which a pixel is foreground. */
  threshold: number;
  border: Border;
  /** Height and width at which masks are compared. */
  size: number;
  batchSize: number;
}

const BORDERS: Record<Border, string> = {
  pet: 'the object with its border',
  background: 'the object without its border',
  ignore: 'the object; pixels of its border are left out of everything',
};

/** The reports' own scores by name: what they are. */
const REPORTS: Record<keyof ReportScores, (batchSize: number) => string> = {
  pixel_agreement_report1: () => 'report 1\'s "Dice": share of agreeing pixels, background included; mean over photos',
  soft_dice_batch: (n) => `reports 2, 3 and 4: Dice of probabilities, all pixels of a batch of ${n}; mean over batches`,
  mean_of_batches: (n) =>
    `reports 0, 2, 3 and 4: mean Dice of each batch of ${n}, then of the batches, a smaller last one like the others`,
};

const four = (value: number): string => value.toFixed(4);

/** The scores' names, means over photos, and values of all pixels as one, under a line of heads. */
export function scoreTable({ split, scores }: Pick<Measured, 'split' | 'scores'>): string[][] {
  const { boundaryF, dataSetBoundaryF } = scores;
  return [
    [`${split}, ${plural(scores.images, 'photo')}`, 'mean over photos', 'all pixels as one'],
    ['Dice', four(scores.dice), four(scores.dataSetDice)],
    ['IoU', four(scores.iou), four(scores.dataSetIou)],
    ['precision', four(scores.precision), four(scores.dataSetPrecision)],
    ['recall', four(scores.recall), four(scores.dataSetRecall)],
    ['pixel accuracy', four(scores.pixelAccuracy), four(scores.dataSetPixelAccuracy)],
    ['boundary F at 2 px', ...[boundaryF, dataSetBoundaryF].map((value) => (value === undefined ? '-' : four(value)))],
    ['loss', four(scores.loss), ''],
  ];
}

export function scoreReport(measured: Measured): string {
  const { scores, batchSize } = measured;
  const lines = [table(scoreTable(measured)), '', ...definitions(measured)];
  const reports = (Object.keys(REPORTS) as (keyof ReportScores)[]).filter((name) => scores[name] !== undefined);
  if (reports.length > 0) {
    const own = reports.map((name) => [name, four(scores[name]!)]);
    const means = reports.map((name) => `${name}: ${REPORTS[name](batchSize)}.`);
    lines.push('', table([["the reports' own scores", ''], ...own]), '', ...means);
  }
  return lines.join('\n').replace(/ +$/gm, '');
}

/** What each score is, in lines. */
export function definitions({ scores, threshold, border, size }: Measured): string[] {
  const above = Number(threshold.toFixed(4));
  return [
    `P: pixels with a probability above ${above}. T: the mask, ${BORDERS[border]}. Both at ${size}x${size}.`,
    'Dice 2|P and T| / (|P| + |T|), IoU |P and T| / |P or T|, precision |P and T| / |P|, recall |P and T| / |T|;',
    '1 where P and T are both empty. Pixel accuracy: share of the pixels on which P and T agree.',
    scores.boundaryF === undefined
      ? 'Boundary F is not measured: the boundary lies in the border, which is left out.'
      : "Boundary F 2pr / (p + r): p the share of P's outline within 2 pixels of T's, r of T's within 2 pixels of P's.",
    describeEmptyTruth(scores),
  ];
}

function describeEmptyTruth({ images, emptyTruth }: Scores): string {
  const { images: empty, predictedEmpty, diceElsewhere } = emptyTruth;
  if (empty === 0) return 'Photos whose mask is empty: none.';
  const right = `${predictedEmpty} of them with an empty prediction (Dice 1), ${empty - predictedEmpty} without (Dice 0)`;
  const others =
    diceElsewhere === null ? '' : `; mean Dice of the other ${images - empty}: ${diceElsewhere.toFixed(4)}`;
  return `Photos whose mask is empty: ${empty}, ${right}${others}.`;
}
