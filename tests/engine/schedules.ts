import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  constantRate,
  cosineWithWarmup,
  createSchedule,
  exponentialDecay,
  polynomialDecay,
  ReduceOnPlateau,
  resolveSchedule,
} from '../../engine/schedules.js';

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

test('exponential counted in steps', () => {
  const rate = exponentialDecay(0.1, 0.5, 'step');
  assert.equal([rate(9, 0), rate(0, 2)], [0.1, 0.025]);
});

// torch.optim.lr_scheduler.PolynomialLR(opt, total_iters=4, power=2) at lr 0.1: 0.1 (1 - t/4)^2
test('polynomial falls to 0 and stays there', () => {
  const rate = polynomialDecay(0.1, { unit: 'epoch', total: 4, power: 2 });
  [0.1, 0.05625, 0.025, 0.00625, 0, 0].forEach((expected, epoch) => near(rate(epoch, 77), expected));
  near(polynomialDecay(1, { unit: 'step', total: 10, power: 1 })(3, 4), 0.6);
  assert.throws(() => polynomialDecay(1, { unit: 'step', total: 0, power: 1 }), /0 steps; a positive number/);
});

const plateau = {
  mode: 'max',
  factor: 0.1,
  patience: 1,
  threshold: 0.01,
  thresholdMode: 'rel',
  cooldown: 0,
  minimum: 0,
} as const;

/** The rate after each score. */
function rates(scheduler: ReduceOnPlateau, scores: readonly number[]): number[] {
  return scores.map((score) => {
    scheduler.observe(score);
    return Number(scheduler.rate.toPrecision(12));
  });
}

// PyTorch: s = ReduceLROnPlateau(SGD([p], 1.0), mode, factor=0.1, ...); the rate after each s.step(score), by its source
test('plateau: one bad score more than patience lowers the rate', () => {
  const scores = [0.5, 0.504, 0.503, 0.6, 0.6, 0.6, 0.6, 0.6];
  assert.equal(rates(new ReduceOnPlateau(1, plateau), scores), [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001]);
});

test('plateau of a loss: relative and absolute thresholds', () => {
  const min = { ...plateau, mode: 'min', patience: 0 } as const;
  assert.equal(rates(new ReduceOnPlateau(1, min), [10, 9.91, 9.89]), [1, 0.1, 0.1]);
  assert.equal(rates(new ReduceOnPlateau(1, { ...min, thresholdMode: 'abs' }), [10, 9.98, 9.991]), [1, 1, 0.1]);
});

test('plateau: during the cooldown no score counts as bad', () => {
  const scores = [1, 1, 1, 1, 1, 1];
  const cooled = new ReduceOnPlateau(1, { ...plateau, patience: 0, cooldown: 2 });
  assert.equal(rates(cooled, scores), [1, 0.1, 0.1, 0.1, 0.01, 0.01]);
});

test('plateau: not below the minimum, and scores that are not numbers are bad', () => {
  const floor = new ReduceOnPlateau(1, { ...plateau, patience: 0, minimum: 0.05 });
  assert.equal(rates(floor, [1, NaN, 1, 1]), [1, 0.1, 0.05, 0.05]);
});

test('plateau goes on from its state', () => {
  const scores = [1, 2, 2, 2, 2, 3, 3, 3];
  const whole = rates(new ReduceOnPlateau(1, plateau), scores);
  const first = new ReduceOnPlateau(1, plateau);
  const begin = rates(first, scores.slice(0, 4));
  const second = new ReduceOnPlateau(1, plateau);
  second.state = JSON.parse(JSON.stringify(first.state));
  assert.equal([...begin, ...rates(second, scores.slice(4))], whole);
});

test('settings: defaults, the length of the run, state', () => {
  assert.equal(resolveSchedule('cosine'), { kind: 'cosine', unit: 'epoch', warmup: 0, total: null, minimum: 0 });
  const settings = resolveSchedule({ kind: 'polynomial', unit: 'step' });
  assert.equal(resolveSchedule(settings), settings);
  const run = { epochs: 5, stepsPerEpoch: 20 };
  const schedule = createSchedule(settings, 1, run);
  near(schedule.rate(2, 50), 0.5);
  assert.is(schedule.observes, undefined);
  assert.is(schedule.state, null);
  near(createSchedule(resolveSchedule('cosine'), 1, { epochs: 10, stepsPerEpoch: 1 }).rate(5, 0), 0.5);
  near(createSchedule(resolveSchedule({ kind: 'exponential', gamma: 0.99 }), 1, run).rate(1, 99), 0.99);
  assert.is(createSchedule(resolveSchedule('constant'), 0.3, run).rate(4, 80), 0.3);
  const plateaued = createSchedule(resolveSchedule({ kind: 'plateau', patience: 0 }), 1, run);
  assert.is(plateaued.observes, 'epoch');
  plateaued.observe(1);
  plateaued.observe(1);
  near(plateaued.rate(0, 0), 0.1);
  const resumed = createSchedule(resolveSchedule({ kind: 'plateau', patience: 0 }), 1, run);
  resumed.state = plateaued.state;
  near(resumed.rate(0, 0), 0.1);
});

test('settings that cannot be are refused by key', () => {
  assert.throws(
    () => resolveSchedule('cosin'),
    /^schedule\.kind: "cosin" is no schedule; known are constant, exponential, cosine/,
  );
  assert.throws(
    () => resolveSchedule({ kind: 'exponential' }),
    /^schedule\.gamma: missing; a number from 0 to 1 is needed/,
  );
  assert.throws(
    () => resolveSchedule({ kind: 'exponential', gamma: 1.1 }),
    /^schedule\.gamma: 1.1 is not a number from 0 to 1/,
  );
  assert.throws(
    () => resolveSchedule({ kind: 'plateau', paitence: 3 }),
    /^schedule\.paitence: unknown key; known are unit, mode/,
  );
  assert.throws(
    () => resolveSchedule({ kind: 'cosine', unit: 'batch' }),
    /^schedule\.unit: "batch" is not one of epoch, step/,
  );
  assert.throws(
    () => createSchedule(resolveSchedule({ kind: 'cosine', warmup: 5 }), 1, { epochs: 5, stepsPerEpoch: 2 }),
    /5 epochs with a warm-up of 5/,
  );
});

test.run();
