import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  boundaryF,
  boundaryScores,
  dice,
  iou,
  pixelAccuracy,
  precision,
  readBoundaryCounts,
  readCounts,
  recall,
  reportScores,
  segmentationScores,
  softDice,
  totalCounts,
  union,
} from '../../engine/metrics.js';

const test = suite('metrics');

const half = { intersection: 2, predicted: 4, true: 3, pixels: 10 };
const empty = { intersection: 0, predicted: 0, true: 0, pixels: 10 };
const missed = { intersection: 0, predicted: 0, true: 5, pixels: 10 };

test('one image', () => {
  assert.is(union(half), 5);
  assert.is(dice(half), 4 / 7);
  assert.is(iou(half), 2 / 5);
  assert.is(pixelAccuracy(half), 7 / 10);
});

test('nothing there and nothing predicted is right; nothing predicted of something is not', () => {
  assert.equal([dice(empty), iou(empty), pixelAccuracy(empty)], [1, 1, 1]);
  assert.is(pixelAccuracy({ intersection: 0, predicted: 0, true: 0, pixels: 0 }), 1);
  assert.equal([dice(missed), iou(missed), pixelAccuracy(missed)], [0, 0, 0.5]);
});

test('soft Dice', () => {
  assert.is(softDice([2, 3, 5], 0), 0.5);
  assert.is(softDice([0, 0, 0]), 0);
});

test('a data set: means of images, and the same from all pixels', () => {
  const images = [half, empty, missed];
  assert.equal(totalCounts(images), { intersection: 2, predicted: 4, true: 8, pixels: 30 });
  const scores = segmentationScores(images);
  assert.ok(Math.abs(scores.dice - (4 / 7 + 1) / 3) < 1e-15);
  assert.ok(Math.abs(scores.iou - (2 / 5 + 1) / 3) < 1e-15);
  assert.is(scores.dataSetDice, 4 / 12);
  assert.is(scores.dataSetIou, 2 / 10);
  assert.is(scores.pixelAccuracy, (0.7 + 1 + 0.5) / 3);
  assert.is(scores.dataSetPixelAccuracy, 22 / 30);
  assert.throws(() => segmentationScores([]), /there are no images/);
});

test('counts as the GPU gives them; the padding of a partial batch is left out', () => {
  assert.equal(readCounts([2, 4, 3, 10, 0, 0, 5, 10]), [half, missed]);
  assert.equal(readCounts([2, 4, 3, 10, 0, 0, 5, 10], 1), [half]);
  assert.throws(() => readCounts([1, 2, 3]), /3 numbers cannot be the counts of 0.75 images/);
  assert.throws(() => readCounts([1, 2, 3, 4], 2), /4 numbers cannot be the counts of 2 images/);
});

test('precision and recall, also where nothing is there or predicted', () => {
  assert.equal([precision(half), recall(half)], [2 / 4, 2 / 3]);
  assert.equal([precision(empty), recall(empty)], [1, 1]);
  assert.equal([precision(missed), recall(missed)], [0, 0]);
  const invented = { intersection: 0, predicted: 3, true: 0, pixels: 10 };
  assert.equal([precision(invented), recall(invented), dice(invented)], [0, 0, 0]);
});

test('images without foreground are counted apart', () => {
  const invented = { intersection: 0, predicted: 3, true: 0, pixels: 10 };
  const scores = segmentationScores([half, empty, invented]);
  assert.equal(scores.emptyTruth, { images: 2, predictedEmpty: 1, diceElsewhere: 4 / 7 });
  assert.is(scores.dice, (4 / 7 + 1 + 0) / 3);
  assert.is(scores.dataSetPrecision, 2 / 7);
  assert.is(scores.dataSetRecall, 2 / 3);
  assert.equal(segmentationScores([empty]).emptyTruth, { images: 1, predictedEmpty: 1, diceElsewhere: null });
});

test('boundary F-score', () => {
  const [near, none, lost, far] = readBoundaryCounts([10, 8, 5, 4, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 3, 0]);
  assert.equal(near, { predicted: 10, predictedMatched: 8, true: 5, trueMatched: 4 });
  assert.ok(Math.abs(boundaryF(near) - 0.8) < 1e-15);
  assert.equal([boundaryF(none), boundaryF(lost), boundaryF(far)], [1, 0, 0]);
  const scores = boundaryScores([near, none, lost]);
  assert.is(scores.boundaryF, (boundaryF(near) + 1) / 3);
  assert.is(scores.dataSetBoundaryF, (2 * (8 / 10) * (4 / 12)) / (8 / 10 + 4 / 12));
  assert.throws(() => boundaryScores([]), /there are no images/);
});

test("the reports' own scores", () => {
  const batches = [
    { images: [half, empty], softSums: [2, 3, 5] },
    { images: [missed], softSums: [0, 1, 5] },
  ];
  const scores = reportScores(batches);
  assert.is(scores.pixel_agreement_report1, (0.7 + 1 + 0.5) / 3);
  assert.is(scores.soft_dice_batch, (softDice([2, 3, 5]) + 0) / 2);
  assert.is(scores.mean_of_batches, ((4 / 7 + 1) / 2 + 0) / 2);
  assert.throws(() => reportScores([]), /there are no batches/);
});

test.run();
