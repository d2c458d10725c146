import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LOGIT_GRID, ThresholdFit } from '../../engine/thresholdFit.js';

const test = suite('threshold fit');
const grid = { first: -1, step: 1, count: 3 };
const image = (truth: number) => ({ intersection: 0, predicted: 0, true: truth, pixels: 100 });

test('the highest mean Dice per image, over batches', () => {
  const fit = new ThresholdFit(grid);
  // (intersection, predicted) at each threshold
  fit.add([10, 40, 10, 20, 5, 5], [image(10)]);
  fit.add([10, 12, 8, 8, 1, 1, 9, 9, 9, 9, 9, 9], [image(10)]);
  const mean = (a: number, b: number) => (a + b) / 2;
  const best = fit.best();
  assert.is(best.logit, 0);
  assert.is(best.probability, 0.5);
  assert.ok(Math.abs(best.dice - mean(20 / 30, 16 / 18)) < 1e-15);
  assert.is(best.diceAtZero, best.dice);
});

test('an image without foreground wants nothing predicted', () => {
  const fit = new ThresholdFit(grid);
  fit.add([0, 5, 0, 1, 0, 0], [image(0)]);
  assert.equal(fit.best(), { logit: 1, probability: 1 / (1 + Math.exp(-1)), dice: 1, diceAtZero: 0 });
});

test('of equally good thresholds the one nearest to 0', () => {
  const fit = new ThresholdFit(grid);
  fit.add([5, 5, 5, 5, 5, 5], [image(5)]);
  assert.is(fit.best().logit, 0);
});

test('the usual grid holds 0 exactly', () => {
  const logits = Array.from({ length: LOGIT_GRID.count }, (_, k) => LOGIT_GRID.first + k * LOGIT_GRID.step);
  assert.ok(logits.includes(0));
  assert.is(logits[0], -logits[30]);
});

test('errors', () => {
  assert.throws(() => new ThresholdFit(grid).best(), /there are no images/);
  assert.throws(
    () => new ThresholdFit(grid).add([1, 2, 3], [image(1)]),
    /3 numbers cannot be the counts of 1 images at 3/,
  );
});

test.run();
