import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { Graph } from '../../engine/graph.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { relu } from '../../engine/ops/relu.js';
import { planMemory } from '../../engine/arrange.js';
import { Plan } from '../../engine/plan.js';
import { TEXEL_WIDTH, texelBytes, texelRows, texelsAreRight, texelTransfers } from '../../engine/texels.js';
import { checkConvolution } from '../helpers/convolution.js';
import { testDevice } from '../helpers/device.js';
import { normal } from '../helpers/run.js';
import { skip } from '../helpers/skip.js';

const device = await testDevice();
const texels = device.traits.kernels === 'subgroup' && device.traits.maxTexelBytes > 0;
const missing = `${device.platform.name} does not use texture loads`;
const test = suite('texels');

/** As the subgroup kernels ask for it: 3x3, from the given image, and the gradients of both. */
function convolution(): { graph: Graph; outputs: Parameters<typeof Plan.compile>[2]['outputs'] } {
  const graph = new Graph();
  const x = graph.input('x', [1, 8, 8, 8]);
  const w = graph.input('w', [8, 8, 3, 3], 'filter');
  const y = conv2d(x, w, undefined, { padding: 1 });
  return { graph, outputs: [y, ...gradients([y], [graph.input('dy', y.shape)], [x, w])] as never };
}

test('rows hold whole widths', () => {
  assert.equal([1, 16 * TEXEL_WIDTH, 16 * TEXEL_WIDTH + 16].map(texelRows), [1, 1, 2]);
});

test('a copy is one transfer where the buffer has the last row whole, and else two', () => {
  const row = 16 * TEXEL_WIDTH;
  const transfers = (bytes: number, offset: number, size: number) =>
    texelTransfers([{ buffer: { size } as GPUBuffer, offset, bytes }], {} as GPUTexture).map(
      ([source, target, extent]) => [source.offset, target.origin ?? [0, 0], extent],
    );
  const two = [
    [256, [0, 0], [TEXEL_WIDTH, 2]],
    [256 + 2 * row, [0, 2], [1, 1]],
  ];
  assert.equal(transfers(2 * row + 16, 256, 256 + 3 * row - 16), two);
  assert.equal(transfers(2 * row + 16, 256, 256 + 3 * row), [[256, [0, 0], [TEXEL_WIDTH, 3]]]);
  assert.equal(transfers(2 * row, 0, 2 * row), [[0, [0, 0], [TEXEL_WIDTH, 2]]]);
  // A few texels are not worth a row.
  assert.equal(transfers(32, 16, 4 * row), [[16, [0, 0], [2, 1]]]);
});

test('what is joined begins rows of its own', () => {
  const row = 16 * TEXEL_WIDTH;
  const buffer = { size: 2 * row + 16 } as GPUBuffer;
  const memory = [
    { buffer, offset: 0, bytes: row + 16 },
    { buffer, offset: 16, bytes: 2 * row },
    { buffer, offset: 0, bytes: 16 },
  ];
  const places = texelTransfers(memory, {} as GPUTexture).map(([source, target, extent]) => [
    source.offset,
    target.origin,
    extent,
  ]);
  assert.equal(places, [
    [0, [0, 0], [TEXEL_WIDTH, 2]],
    [16, [0, 2], [TEXEL_WIDTH, 2]],
    [0, [0, 4], [1, 1]],
  ]);
  assert.is(texelBytes(...memory), 5 * row);
});

test('the probe finds texture loads right, and wrong where lanes get nothing', async () => {
  if (!texels) return skip(missing);
  const { gpu, platform } = device;
  const probe = { lanes: device.traits.subgroupSize, idle: platform.idle };
  assert.is(await texelsAreRight(gpu, probe), true);
  // A workgroup beyond the adapter's size is a validation error, and so a no.
  assert.is(await texelsAreRight(gpu, { ...probe, lanes: 1 << 20 }), false);
});

test('the plan counts its textures, and says which dispatches read them', async () => {
  if (!texels) return skip(missing);
  const { graph, outputs } = convolution();
  const without = planMemory(device.withKernels('subgroup', false), graph, { outputs });
  const memory = planMemory(device, graph, { outputs });
  assert.is(without.texels, 0);
  assert.ok(memory.texels > 0);
  assert.is(memory.transient, without.transient + memory.texels);
  const plan = await Plan.compile(device, graph, { outputs });
  const read = plan.dispatches.filter(({ shader }) => shader.startsWith('conv2dSubgroup'));
  assert.equal(
    read.map((dispatch) => dispatch.texels),
    [
      ['x', 'w'],
      ['x', 'w'],
    ],
  );
  plan.destroy();
});

test('new values reach the textures in every step', async () => {
  if (!texels) return skip(missing);
  const graph = new Graph();
  const [x, w] = [graph.input('x', [1, 8, 9, 9]), graph.input('w', [8, 8, 3, 3], 'filter')];
  // Both convolutions read w, and the second what the first has just written.
  const y = conv2d(relu(conv2d(x, w, undefined, { padding: 1 })), w, undefined, { padding: 1 });
  const plan = await Plan.compile(device, graph, { outputs: [y] });
  const plain = await Plan.compile(device.withKernels('plain'), graph, { outputs: [y] });
  for (const key of ['first', 'second']) {
    const results: Float32Array[] = [];
    for (const some of [plan, plain]) {
      some.write(x, normal(x.shape, key));
      some.write(w, normal(w.shape, key, 0.1));
      some.run();
      results.push((await some.read(y))[0]);
    }
    const error = Math.max(...results[0].map((value, i) => Math.abs(value - results[1][i])));
    assert.ok(error <= 1e-5, `off by ${error}`);
  }
  plan.destroy();
  plain.destroy();
});

test('where textures cannot stand in, the same kernels load from buffers', async () => {
  if (!texels) return skip(missing);
  const c = { op: 'conv2d', x: [2, 6, 11, 13], out: 20, kernel: [3, 3], padding: 1, bias: true } as const;
  const buffers = device.withKernels('subgroup', false);
  await checkConvolution(buffers, c);
  await checkConvolution(buffers, { ...c, stride: 2 });
});

test.run();
