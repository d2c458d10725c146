import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sigmoid } from '../../engine/ops/sigmoid.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkShapes } from '../helpers/pass.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('sigmoid');

for (const golden of goldenCases('sigmoid')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

test('odd shapes, forward and backward; pads stay zero', () =>
  checkShapes(
    device,
    (shape) => ({ x: { shape, values: normal(shape, 'x', 3) }, dy: { shape, values: normal(shape, 'dy') } }),
    ({ x }) => sigmoid(x),
    (_, { x, dy }) => {
      const y = Array.from(x, (value) => 1 / (1 + Math.exp(-value)));
      return { y, dx: y.map((value, i) => dy[i] * value * (1 - value)) };
    },
  ));

test('gradient by finite differences', async () => {
  const shape = [2, 3, 5, 7];
  await checkGradients(device, { x: { shape, values: normal(shape, 'x') } }, ({ x }) => sigmoid(x), ['x']);
});

test('large values saturate and do not overflow', async () => {
  const values = [-1e4, -90, 0, 90, 1e4];
  const [y] = await evaluate(device, { x: { shape: [5], layout: 'vector', values } }, ({ x }) => [sigmoid(x)] as const);
  assert.equal([y[0], y[2], y[3], y[4]], [0, 0.5, 1, 1]);
  assert.ok(y[1] >= 0 && y[1] < 1e-38, `sigmoid(-90) is ${y[1]}`);
});

test.run();
