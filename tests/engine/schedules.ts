import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { constantRate, cosineWithWarmup, exponentialDecay } from '../../engine/schedules.js';

const test = suite('schedules');

const near = (got: number, expected: number) =>
  assert.ok(Math.abs(got - expected) <= 1e-15, `${got} instead of ${expected}`);

test('constant', () => assert.is(constantRate(0.1)(3, 500), 0.1));

test('exponential: a factor an epoch, whatever the step', () => {
  const rate = exponentialDecay(0.1, 0.5);
  assert.equal([rate(0, 7), rate(1, 99), rate(3, 0)], [0.1, 0.05, 0.0125]);
});

test('cosine without warm-up: from the rate over the middle to the minimum, and stays there', () => {
  const rate = cosineWithWarmup(1, { unit: 'epoch', total: 10, minimum: 0.2 });
  near(rate(0, 999), 1);
  near(rate(5, 0), 0.6);
  near(rate(10, 0), 0.2);
  near(rate(50, 0), 0.2);
});

test('cosine with warm-up counted in steps', () => {
  const rate = cosineWithWarmup(1, { unit: 'step', warmup: 4, total: 12 });
  [0.25, 0.5, 0.75, 1, 1].forEach((expected, step) => near(rate(9, step), expected));
  near(rate(9, 8), 0.5);
  near(rate(9, 12), 0);
});

test('a warm-up as long as the whole is refused', () => {
  assert.throws(() => cosineWithWarmup(1, { unit: 'step', warmup: 5, total: 5 }), /5 steps with a warm-up of 5/);
});

test.run();
