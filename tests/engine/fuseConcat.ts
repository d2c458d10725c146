import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph, type Tensor } from '../../engine/graph.js';
import { concat } from '../../engine/ops/concat.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { relu } from '../../engine/ops/relu.js';
import { Plan } from '../../engine/plan.js';
import { testDevice } from '../helpers/device.js';
import { assertClose } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('fuseConcat');

interface Case {
  /** Channels of the maps. */
  channels: readonly number[];
  kernel?: number;
  stride?: number;
  /** What else is done with the concatenation. */
  also?: (x: Tensor) => Tensor;
  on?: Device;
}

async function run({ channels, kernel = 3, stride = 1, also, on = device }: Case, fuse: boolean) {
  const graph = new Graph();
  const maps = channels.map((count, i) => graph.input(`map ${i}`, [3, count, 7, 9]));
  const whole = concat(maps);
  const w = graph.input('w', [6, whole.shape[1], kernel, kernel], 'filter');
  const bias = graph.input('bias', [6], 'vector');
  const y = conv2d(whole, w, bias, { padding: kernel >> 1, stride });
  const outputs = also ? [y, also(whole)] : [y];
  const seeds = outputs.map(({ shape }, i) => graph.input(`seed ${i}`, shape));
  const made = gradients(outputs, seeds, [...maps, w, bias]);
  const plan = await Plan.compile(on, graph, { outputs: [...outputs, ...made], poison: true, fuse });
  for (const input of graph.inputs) plan.write(input, normal(input.shape, input.name));
  plan.run();
  const values = await plan.read(...outputs, ...made);
  const { fused } = plan;
  plan.destroy();
  return { fused, values };
}

const ALL = { 'concat+conv2d': 1, 'concat+conv2dWeightGradient': 1, 'conv2dInputGradient+channelSlice': 1 };

for (const [what, options, wanted] of [
  ['two maps', { channels: [8, 8] }, ALL],
  ['three maps, the last one of an odd number', { channels: [4, 12, 5] }, ALL],
  ['the same with a stride', { channels: [4, 12, 5], stride: 2 }, ALL],
  ['1x1', { channels: [16, 4], kernel: 1 }, ALL],
  ['a map that ends inside a vec4', { channels: [6, 8] }, {}],
  // Its gradient is then a sum, which is cut up as before.
  ['a concatenation that another op reads', { channels: [8, 8], also: relu }, {}],
] as const satisfies readonly [string, Case, object][]) {
  test(`${what}: as the plain plan`, async () => {
    const plain = await run(options, false);
    const fused = await run(options, true);
    assert.equal(plain.fused, {});
    assert.equal(fused.fused, wanted);
    fused.values.forEach((values, i) => assertClose(`value ${i}`, values, plain.values[i], 1e-5));
  });
}

for (const kernels of ['plain', 'tiled'] as const) {
  test(`${kernels} kernels add to what the maps before gave`, async () => {
    const channels = [8, 4, 5];
    const plain = await run({ channels }, false);
    const fused = await run({ channels, on: device.withKernels(kernels) }, true);
    assert.equal(fused.fused, ALL);
    fused.values.forEach((values, i) => assertClose(`value ${i}`, values, plain.values[i], 1e-5));
  });
}

test('a batch split over bindings, and weights that begin where a binding cannot', async () => {
  const on = (traits: object): Device =>
    Object.assign(Object.create(device), { traits: { ...device.traits, ...traits } });
  const channels = [8, 8];
  const plain = await run({ channels }, false);
  const split = await run({ channels, on: on({ maxBindingBytes: 8192 }) }, true);
  assert.equal(split.fused, ALL);
  split.values.forEach((values, i) => assertClose(`value ${i}`, values, plain.values[i], 1e-5));
  // 4 channels of 6 outputs take 9 * 8 * 16 = 1152 bytes, which is no multiple of 256; 8 take 2304.
  const aligned = on({ storageOffsetAlignment: 256 });
  assert.equal((await run({ channels: [4, 8], on: aligned }, true)).fused, {});
  assert.equal((await run({ channels, on: aligned }, true)).fused, ALL);
});

test.run();
