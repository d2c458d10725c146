/** Ops on images that are stored as f16: PyTorch's values within what rounding to 11 bits allows, and loud errors. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { add } from '../../engine/ops/add.js';
import { cast } from '../../engine/ops/cast.js';
import { sigmoid } from '../../engine/ops/sigmoid.js';
import { Plan } from '../../engine/plan.js';
import { convolutionFamilies, matrixFamily, onFamily } from '../helpers/convolution.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';

const device = await testDevice();
const test = suite('f16');

const close = { rule: 'max', rtol: 4e-3, atol: 1e-3 } as const;
// Where an element decides what passes, one that is rounded to the other side changes a gradient by all of it.
const nearlyAll = { rule: 'image', mean_abs: 2e-3, max_abs: 2e-2, frac: 2e-3 } as const;
const rules = {
  relu: nearlyAll,
  add_relu: nearlyAll,
  relu_add: nearlyAll,
  max_pool2d: nearlyAll,
  batch_norm2d: close,
  concat: close,
  upsample_bilinear: close,
  pad2d: close,
};
for (const [op, rule] of Object.entries(rules)) {
  for (const golden of goldenCases(op)) {
    test(`golden ${golden.name}`, () => checkOpCase(device, golden, { dtype: 'f16', rule }));
  }
}
const convolutions = [...goldenCases('conv2d'), ...goldenCases('conv_transpose2d')];
// What is new in f16 are loads and stores; a few cases have all of another family's.
const few = convolutions.filter(({ name }) => /k3s1p1-n2|k3s2p1op1/.test(name));
for (const family of await convolutionFamilies()) {
  for (const golden of family.device === device ? convolutions : few) {
    const check = (some: Device) => checkOpCase(some, golden, { dtype: 'f16', rule: close });
    test(`golden ${golden.name}, ${family.kernels}`, () => onFamily(family, check));
  }
}

const matrix = await matrixFamily();
test('golden convolutions, matrix', () =>
  onFamily(matrix, async (some) => {
    for (const golden of convolutions) await checkOpCase(some, golden, { dtype: 'f16', rule: close });
  }));

test('the host writes f16 where an input is f16', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 3, 1, 2], 'image', 'f16');
  const plan = await Plan.compile(device, graph, { outputs: [cast(x, 'f32')] });
  const values = [1, -0.5, 3.25, 1024, -65504, 2 ** -24];
  plan.write(x, values);
  plan.run();
  assert.equal([...(await plan.read(graph.nodes[0].outputs[0]))[0]], values);
  plan.destroy();
});

test('a kernel is not given what it would read wrongly', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 3, 2, 2]);
  const y = sigmoid(cast(x, 'f16'));
  let message = '';
  await Plan.compile(device, graph, { outputs: [y] }).catch((error: Error) => (message = error.message));
  assert.match(message, /sigmoid: x is f16, but shaders\/sigmoid\.wgsl takes f32 there; record a cast before sigmoid/);
  assert.throws(() => add(x, cast(x, 'f16')), /add: x .* and cast .* f16 have different shapes or types/);
});

test.run();
