import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { bceWithLogitsLoss } from '../../engine/ops/bceWithLogitsLoss.js';
import { focalLoss } from '../../engine/ops/focalLoss.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, binary, checkShapes } from '../helpers/pass.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('focalLoss');

/** One pixel in float64, as the paper writes it: -a (1 - pt)^gamma log(pt). */
function focal(z: number, t: number, gamma: number, alpha: number | null) {
  const right = 1 / (1 + Math.exp(t ? -z : z));
  const wrong = 1 / (1 + Math.exp(t ? z : -z));
  const a = alpha === null ? 1 : t ? alpha : 1 - alpha;
  const ce = Math.log1p(Math.exp(t ? -z : z));
  const dRight = a * wrong ** gamma * (gamma * right * -ce - wrong);
  return { loss: a * wrong ** gamma * ce, dz: t ? dRight : -dRight };
}

for (const options of [
  { gamma: 2, alpha: 0.25 },
  { gamma: 0.5, alpha: null },
  { gamma: 3.5, alpha: 0.9 },
]) {
  const { gamma, alpha } = options;
  test(`gamma ${gamma}, alpha ${alpha}: odd shapes, forward and backward`, () =>
    checkShapes(
      device,
      (shape) => ({
        x: { shape, values: normal(shape, 'x', 4) },
        t: { shape, values: binary(shape) },
        dy: { shape: [1], layout: 'vector', values: [1.5] },
      }),
      ({ x, t }) => focalLoss(x, t, options),
      (_, { x, t, dy }) => {
        const pixels = Array.from(x, (z, i) => focal(z, t[i], gamma, alpha));
        return {
          y: [pixels.reduce((sum, { loss }) => sum + loss, 0) / x.length],
          dx: pixels.map(({ dz }) => (dy[0] * dz) / x.length),
        };
      },
    ));

  test(`gamma ${gamma}, alpha ${alpha}: gradient by finite differences`, async () => {
    const shape = [2, 1, 5, 7];
    const given = { z: { shape, values: normal(shape, 'z') }, t: { shape, values: binary(shape) } };
    await checkGradients(device, given, ({ z, t }) => focalLoss(z, t, options), ['z'], { step: 0.05 });
  });
}

test('without gamma and alpha it is binary cross entropy', async () => {
  const shape = [2, 1, 9, 8];
  const given = { z: { shape, values: normal(shape, 'z', 5) }, t: { shape, values: binary(shape) } };
  const [focals, bce] = await evaluate(
    device,
    given,
    ({ z, t }) => [focalLoss(z, t, { gamma: 0, alpha: null }), bceWithLogitsLoss(z, t)] as const,
  );
  assertClose('loss', focals, bce, 1e-6);
});

test('very sure logits: wrong ones cost what they are off by, right ones nothing', async () => {
  const shape = [1, 1, 1, 1];
  for (const [z, t, expected] of [
    [1e4, 0, 1e4],
    [-1e4, 1, 1e4],
    [1e4, 1, 0],
    [-1e4, 0, 0],
  ]) {
    const given = { z: { shape, values: [z] }, t: { shape, values: [t] } };
    const [[loss]] = await evaluate(device, given, (x) => [focalLoss(x.z, x.t, { gamma: 0.5, alpha: null })] as const);
    assert.ok(Math.abs(loss - expected) <= 1e-5 * expected, `for logit ${z} and target ${t}: ${loss}`);
  }
});

test('a logit that is not a number shows in the loss', async () => {
  const shape = [1, 1, 2, 2];
  const given = { z: { shape, values: [1, 2, NaN, 3] }, t: { shape, values: [0, 1, 0, 1] } };
  const [loss] = await evaluate(device, given, ({ z, t }) => [focalLoss(z, t)] as const);
  assert.ok(Number.isNaN(loss[0]), `the loss is ${loss[0]}`);
});

test('errors', () => {
  const graph = new Graph();
  const z = graph.input('z', [2, 1, 4, 4]);
  assert.throws(() => focalLoss(z, graph.input('t', [2, 1, 4, 5])), /focalLoss: prediction z .* different shapes/);
  assert.throws(() => focalLoss(z, z, { gamma: -1 }), /gamma is -1; a number from 0 on is needed/);
  assert.throws(() => focalLoss(z, z, { alpha: 1.5 }), /alpha is 1.5; it lies in 0 .. 1/);
});

test.run();
