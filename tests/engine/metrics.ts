import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  dice,
  iou,
  pixelAccuracy,
  readCounts,
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
  assert.is(scores.pixelAccuracy, 22 / 30);
  assert.throws(() => segmentationScores([]), /there are no images/);
});

test('counts as the GPU gives them; the padding of a partial batch is left out', () => {
  assert.equal(readCounts([2, 4, 3, 10, 0, 0, 5, 10]), [half, missed]);
  assert.equal(readCounts([2, 4, 3, 10, 0, 0, 5, 10], 1), [half]);
  assert.throws(() => readCounts([1, 2, 3]), /3 numbers cannot be the counts of 0.75 images/);
  assert.throws(() => readCounts([1, 2, 3, 4], 2), /4 numbers cannot be the counts of 2 images/);
});

test.run();
