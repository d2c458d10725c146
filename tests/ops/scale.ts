import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { scale } from '../../engine/ops/scale.js';
import { testDevice } from '../helpers/device.js';
import { checkShapes } from '../helpers/pass.js';
import { checkGradients, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('scale');

test('odd shapes, forward and backward', () =>
  checkShapes(
    device,
    (shape) => ({ x: { shape, values: normal(shape, 'x') }, dy: { shape, values: normal(shape, 'dy') } }),
    ({ x }) => scale(x, -2.5),
    (_, { x, dy }) => ({ y: Array.from(x, (value) => -2.5 * value), dx: Array.from(dy, (value) => -2.5 * value) }),
  ));

test('gradient by finite differences', async () => {
  const shape = [2, 3, 5, 7];
  await checkGradients(device, { x: { shape, values: normal(shape, 'x') } }, ({ x }) => scale(x, 0.3), ['x']);
});

test('refuses a factor that is no number', () => {
  assert.throws(() => scale(new Graph().input('x', [1, 1, 2, 2]), NaN), /the factor for x \[1, 1, 2, 2\] is NaN/);
});

test.run();
