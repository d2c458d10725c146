import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { bceLoss } from '../../engine/ops/bceLoss.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { assertClose, binary, checkShapes, passOf } from '../helpers/pass.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('bceLoss');

const probabilities = (shape: readonly number[]) => normal(shape, 'p').map((x) => 1 / (1 + Math.exp(-x)));

for (const golden of goldenCases('bce')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

test('odd shapes, forward and backward', () =>
  checkShapes(
    device,
    (shape) => ({
      x: { shape, values: probabilities(shape) },
      t: { shape, values: binary(shape) },
      dy: { shape: [1], layout: 'vector', values: [1.5] },
    }),
    ({ x, t }) => bceLoss(x, t),
    (_, { x, t, dy }) => {
      const terms = Array.from(x, (p, i) => -Math.log(t[i] ? p : 1 - p));
      return {
        y: [terms.reduce((a, b) => a + b, 0) / x.length],
        dx: Array.from(x, (p, i) => (dy[0] * (p - t[i])) / (p * (1 - p)) / x.length),
      };
    },
  ));

test('gradient by finite differences', async () => {
  const shape = [2, 1, 5, 7];
  const given = { p: { shape, values: probabilities(shape) }, t: { shape, values: binary(shape) } };
  await checkGradients(device, given, ({ p, t }) => bceLoss(p, t), ['p'], { step: 1e-3, tolerance: 2e-2 });
});

test('certain and wrong: logarithms end at -100, as PyTorch has it', async () => {
  const shape = [1, 1, 1, 4];
  const { y, dx } = await passOf(
    device,
    {
      x: { shape, values: [0, 1, 0, 1] },
      t: { shape, values: [1, 0, 0, 1] },
      dy: { shape: [1], layout: 'vector', values: [1] },
    },
    ({ x, t }) => bceLoss(x, t),
  );
  assertClose('loss', y, [50]);
  assertClose('gradient', dx, [-0.25e12, 0.25e12, 0, 0]);
});

test('a probability that is not a number shows in the loss', async () => {
  const shape = [1, 1, 2, 2];
  const given = { p: { shape, values: [0.5, 0.2, NaN, 0.3] }, t: { shape, values: [0, 1, 0, 1] } };
  const [loss] = await evaluate(device, given, ({ p, t }) => [bceLoss(p, t)] as const);
  assert.ok(Number.isNaN(loss[0]), `the loss is ${loss[0]}`);
});

test('shape error', () => {
  const graph = new Graph();
  assert.throws(
    () => bceLoss(graph.input('p', [1, 1, 4, 4]), graph.input('t', [2, 1, 4, 4])),
    /bceLoss: prediction p .* different shapes/,
  );
});

test.run();
