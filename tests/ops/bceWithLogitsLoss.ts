import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph, type Tensor } from '../../engine/graph.js';
import { bceWithLogitsLoss } from '../../engine/ops/bceWithLogitsLoss.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { binary, checkShapes } from '../helpers/pass.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('bceWithLogitsLoss');

for (const golden of goldenCases('bce_logits')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

test('odd shapes, forward and backward', () =>
  checkShapes(
    device,
    (shape) => ({
      x: { shape, values: normal(shape, 'x', 4) },
      t: { shape, values: binary(shape) },
      dy: { shape: [1], layout: 'vector', values: [1.5] },
    }),
    ({ x, t }) => bceWithLogitsLoss(x, t),
    (_, { x, t, dy }) => {
      const terms = Array.from(x, (z, i) => Math.max(z, 0) - z * t[i] + Math.log1p(Math.exp(-Math.abs(z))));
      return {
        y: [terms.reduce((a, b) => a + b, 0) / x.length],
        dx: Array.from(x, (z, i) => (dy[0] * (1 / (1 + Math.exp(-z)) - t[i])) / x.length),
      };
    },
  ));

test('gradient by finite differences', async () => {
  const shape = [2, 1, 5, 7];
  const given = { z: { shape, values: normal(shape, 'z') }, t: { shape, values: binary(shape) } };
  await checkGradients(device, given, ({ z, t }) => bceWithLogitsLoss(z, t), ['z'], { step: 0.05 });
});

for (const positiveWeight of [0.2, 3]) {
  test(`positive weight ${positiveWeight}: odd shapes, forward and backward`, () =>
    checkShapes(
      device,
      (shape) => ({
        x: { shape, values: normal(shape, 'x', 4) },
        t: { shape, values: binary(shape) },
        dy: { shape: [1], layout: 'vector', values: [1.5] },
      }),
      ({ x, t }) => bceWithLogitsLoss(x, t, { positiveWeight }),
      // PyTorch: -(w t log(sigmoid(z)) + (1 - t) log(1 - sigmoid(z))), mean over all pixels
      (_, { x, t, dy }) => {
        const term = (z: number, i: number) =>
          positiveWeight * t[i] * Math.log1p(Math.exp(-z)) + (1 - t[i]) * Math.log1p(Math.exp(z));
        const slope = (z: number, i: number) => {
          const p = 1 / (1 + Math.exp(-z));
          return (1 - t[i]) * p - positiveWeight * t[i] * (1 - p);
        };
        return {
          y: [Array.from(x, term).reduce((a, b) => a + b, 0) / x.length],
          dx: Array.from(x, (z, i) => (dy[0] * slope(z, i)) / x.length),
        };
      },
    ));
}

test('positive weight: gradient by finite differences', async () => {
  const shape = [2, 1, 5, 7];
  const given = { z: { shape, values: normal(shape, 'z') }, t: { shape, values: binary(shape) } };
  const build = ({ z, t }: Record<string, Tensor>) => bceWithLogitsLoss(z, t, { positiveWeight: 3 });
  await checkGradients(device, given, build, ['z'], { step: 0.05 });
});

test('the small losses of sure and right predictions keep their digits', async () => {
  const shape = [1, 1, 1, 1];
  for (const z of [3, 4.5, 4.7, 9, 14, 40, 80]) {
    const given = { z: { shape, values: [z] }, t: { shape, values: [1] } };
    const [[loss]] = await evaluate(device, given, (inputs) => [bceWithLogitsLoss(inputs.z, inputs.t)] as const);
    const exact = Math.log1p(Math.exp(-z));
    assert.ok(Math.abs(loss - exact) <= 2e-5 * exact, `for logit ${z}: ${loss} instead of ${exact}`);
  }
});

test('a logit that is not a number shows in the loss', async () => {
  const shape = [1, 1, 2, 2];
  const given = { z: { shape, values: [1, 2, NaN, 3] }, t: { shape, values: [0, 1, 0, 1] } };
  const [loss] = await evaluate(device, given, ({ z, t }) => [bceWithLogitsLoss(z, t)] as const);
  assert.ok(Number.isNaN(loss[0]), `the loss is ${loss[0]}`);
});

test('shape errors', () => {
  const graph = new Graph();
  const z = graph.input('z', [2, 1, 4, 4]);
  assert.throws(
    () => bceWithLogitsLoss(z, graph.input('t', [2, 1, 4, 5])),
    /bceWithLogitsLoss: prediction z \[2, 1, 4, 4\] and target t \[2, 1, 4, 5\] have different shapes/,
  );
  assert.throws(
    () => bceWithLogitsLoss(z, graph.input('t', [4], 'vector')),
    /t \[4\] has the layout vector; an image is needed/,
  );
  assert.throws(
    () => bceWithLogitsLoss(z, z, { positiveWeight: 0 }),
    /positiveWeight is 0; a positive number is needed/,
  );
});

test.run();
