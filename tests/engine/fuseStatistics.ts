import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device, FormChooser } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import type { Dtype, Shape } from '../../engine/layout.js';
import { batchNorm2d } from '../../engine/ops/batchNorm2d.js';
import { concat } from '../../engine/ops/concat.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { WINOGRAD } from '../../engine/ops/convWinograd.js';
import { relu } from '../../engine/ops/relu.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { matrixFamily, onFamily } from '../helpers/convolution.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';
import { skip } from '../helpers/skip.js';

const device = await testDevice();
const test = suite('fuseStatistics');
const KIND = 'conv2d+batchNorm2dStatistics';

interface Case {
  shape: Shape;
  out: number;
  kernel: number;
  stride?: number;
  /** Added to every output of the convolution. */
  mean?: number;
  dtype?: Dtype;
  /** Two maps, concatenated. */
  maps?: boolean;
  training?: boolean;
}

interface Run {
  fused: Readonly<Record<string, number>>;
  dispatches: readonly string[];
  /** relu(norm(conv)), gradients of x, filter, weight and bias, and the running mean and variance. */
  values: readonly Float32Array[];
  running: readonly Float32Array[];
}

/** One step on poisoned memory, the running statistics taken over whole. */
async function run(
  on: Device,
  { shape, out, kernel, stride = 1, mean = 0, dtype = 'f32', maps = false, training = true }: Case,
  options: { fuse?: boolean; checkpointActivations?: boolean } = {},
): Promise<Run> {
  const graph = new Graph();
  const variables = new Variables(on);
  const declare = (name: string) =>
    variables.declare(name, [out], 'vector', false, () => new Float32Array(out).fill(1));
  const running = { mean: declare('mean'), variance: declare('variance') };
  const x = graph.input('x', shape, 'image', dtype);
  const filter = graph.input('filter', [out, shape[1] * (maps ? 2 : 1), kernel, kernel], 'filter');
  const level = graph.input('level', [out], 'vector');
  const weight = graph.input('weight', [out], 'vector');
  const bias = graph.input('bias', [out], 'vector');
  const read = maps ? concat([x, graph.input('other', shape, 'image', dtype)]) : x;
  const y = conv2d(read, filter, level, { padding: kernel >> 1, stride });
  const z = relu(batchNorm2d(y, weight, bias, running, { training, momentum: 1, eps: 1e-5 }));
  const seed = graph.input('seed', z.shape, 'image', dtype);
  const made = gradients([z], [seed], [x, filter, weight, bias]);
  const plan = await Plan.compile(on, graph, { outputs: [z, ...made], poison: true, ...options });
  for (const input of graph.inputs) {
    const scale = input === filter ? 1 / Math.sqrt(filter.shape[1] * kernel * kernel) : 1;
    const values = normal(input.shape, input.name, scale);
    plan.write(input, input === level ? values.map((value) => value + mean) : values);
  }
  plan.run();
  const values = await plan.read(z, ...made);
  const after = await variables.read('buffers');
  const { fused } = plan;
  const dispatches = plan.dispatches.filter(({ source }) => source).map(({ shader }) => shader);
  plan.destroy();
  variables.destroy();
  return { fused, dispatches, values, running: [after.get('mean')!, after.get('variance')!] };
}

async function check(on: Device, given: Case, tolerance = 2e-5): Promise<{ got: Run; wanted: Run }> {
  const got = await run(on, given);
  const wanted = await run(on, given, { fuse: false });
  assert.is(got.fused[KIND], 1);
  assert.equal(wanted.fused, {});
  [...got.values, ...got.running].forEach((values, i) =>
    assertClose(`value ${i}`, values, [...wanted.values, ...wanted.running][i], tolerance),
  );
  return { got, wanted };
}

const on = (traits: object): Device =>
  Object.assign(Object.create(device), { traits: { ...device.traits, ...traits } });

const fromBuffers = device.traits.kernels === 'subgroup' ? device.withKernels('subgroup', false) : undefined;
const missing = 'the adapter’s own kernels are not those of subgroups';
const families: [string, Device | undefined][] = [
  ['the adapter’s own kernels', device],
  ['tiled kernels', device.withKernels('tiled')],
  ['tiled kernels and the tiling of a GPU', on({ kernels: 'tiled', cpu: false, maxTexelBytes: 0 })],
  ['loads from buffers', fromBuffers],
];
const choose: FormChooser = (_, forms) => Math.max(0, forms.indexOf(WINOGRAD));
const winograd = device.withHabits({ choose });
families.push(['Winograd’s form, where there is one', winograd]);

const cases: Case[] = [
  // 3x3: a tile less one, a tile, a tile and one; one row; channels that leave lanes idle; more channels than a block.
  { shape: [1, 4, 1, 5], out: 4, kernel: 3 },
  { shape: [2, 5, 7, 9], out: 7, kernel: 3 },
  { shape: [3, 8, 8, 8], out: 16, kernel: 3 },
  { shape: [2, 12, 17, 9], out: 33, kernel: 3 },
  { shape: [1, 6, 5, 31], out: 70, kernel: 3 },
  // More tiles than one pass merges.
  { shape: [2, 6, 96, 83], out: 8, kernel: 3 },
  // Strided, 1x1, and the stem.
  { shape: [2, 9, 13, 11], out: 10, kernel: 3, stride: 2 },
  { shape: [3, 16, 9, 9], out: 17, kernel: 1 },
  { shape: [2, 8, 7, 6], out: 12, kernel: 1, stride: 2 },
  { shape: [2, 3, 23, 19], out: 6, kernel: 7, stride: 2 },
  { shape: [2, 3, 70, 66], out: 16, kernel: 3 },
];
const ofTwoMaps: Case[] = [
  { shape: [2, 8, 13, 9], out: 18, kernel: 3, maps: true },
  { shape: [1, 4, 7, 17], out: 6, kernel: 3, stride: 2, maps: true },
];

for (const [name, family] of families) {
  test(`${name}: as the plain plan`, async () => {
    if (!family) return skip(missing);
    for (const given of cases) await check(family, given);
    // From buffers they are convolved one after the other, and added by a kernel that knows no tiles.
    for (const given of ofTwoMaps) if (family !== fromBuffers) await check(family, given);
  });
}

for (const [name, family] of families) {
  test(`${name}: a mean far from 0 loses no variance`, async () => {
    if (!family) return skip(missing);
    // f32 knows 1e4 to 1e-3; a mean of squares less the square of the mean would be off by about 10.
    for (const shape of [
      [2, 8, 40, 37],
      [2, 8, 9, 9],
    ]) {
      const given = { shape, out: 6, kernel: 3, mean: 1e4 };
      const got = await run(family, given);
      const wanted = await run(family, given, { fuse: false });
      const near = await run(family, { ...given, mean: 0 }, { fuse: false });
      assert.is(got.fused[KIND], 1);
      // The gradients are not compared: a rounding of y moves what lies at ReLU's kink to its other side.
      assertClose('y', got.values[0], wanted.values[0], 1e-3);
      assertClose('variance', got.running[1], near.running[1], 2e-3);
    }
  });
}

test('the map is not read for its statistics', async () => {
  const large = await run(device, { shape: [2, 8, 160, 128], out: 16, kernel: 3 });
  assert.is(large.fused[KIND], 1);
  const plain = await run(device, { shape: [2, 8, 160, 128], out: 16, kernel: 3 }, { fuse: false });
  // Statistics, last pass, y: the first of them merges tiles instead, and ReLU's pass is gone.
  assert.is(plain.dispatches.filter((shader) => shader === 'relu').length, 2);
  assert.is(large.dispatches.filter((shader) => shader === 'relu').length, 0);
});

test('Winograd’s products of one map in several dispatches', async () => {
  const { kernels, maxTexelBytes } = device.traits;
  if (kernels !== 'subgroup' || maxTexelBytes === 0) return skip('the adapter has no texture loads');
  for (const [given, some] of [
    // More patches than are made at once, and a batch in parts.
    [{ shape: [2, 36, 96, 83], out: 8, kernel: 3 }, winograd],
    [{ shape: [5, 8, 32, 16], out: 8, kernel: 3 }, smallBindings(winograd, 40000)],
  ] as const) {
    const { got } = await check(some, given);
    assert.ok(got.dispatches.filter((shader) => shader === WINOGRAD).length >= 4);
  }
});

test('what has no tiles to give keeps its statistics', async () => {
  const given: Case = { shape: [4, 8, 12, 12], out: 8, kernel: 3 };
  for (const [what, family, changes] of [
    ['plain kernels', device.withKernels('plain'), {}],
    ['a batch split over bindings', smallBindings(device, 2 * 144 * 32), {}],
    ['evaluation', device, { training: false }],
    ...(fromBuffers ? [['two maps from buffers', fromBuffers, { maps: true }] as const] : []),
  ] as const) {
    const got = await run(family, { ...given, ...changes });
    const wanted = await run(family, { ...given, ...changes }, { fuse: false });
    assert.is(got.fused[KIND], undefined, what);
    got.values.forEach((values, i) => assertClose(`${what}, value ${i}`, values, wanted.values[i], 2e-5));
    got.running.forEach((values, i) => assertClose(`${what}, running ${i}`, values, wanted.running[i], 2e-5));
  }
});

test('images in f16', async () => {
  if (!device.gpu.features.has('shader-f16')) return skip('the adapter has no shader-f16');
  // The plain plan takes the statistics of what was rounded to 11 bits.
  for (const kernel of [1, 3]) {
    await check(device, { shape: [2, 8, 17, 13], out: 12, kernel, dtype: 'f16' }, 4e-3);
    await check(device.withKernels('tiled'), { shape: [2, 8, 17, 13], out: 12, kernel, dtype: 'f16' }, 4e-3);
  }
});

const matrix = await matrixFamily();

test('matrix units: as the plain plan', () =>
  onFamily(matrix, async (units) => {
    const onUnits = cases.map((given): Case => ({
      ...given,
      shape: given.shape.with(1, given.shape[1] + 7),
      dtype: 'f16',
    }));
    const ofMaps = ofTwoMaps.map((given): Case => ({ ...given, shape: given.shape.with(1, 11), dtype: 'f16' }));
    for (const given of [...onUnits, ...ofMaps]) {
      const { got } = await check(units, given, 4e-3);
      assert.ok(got.dispatches.includes('conv2dMatrix') || given.out < 8);
      assert.equal(await run(units, given), got, 'the same bits in every run');
    }
  }));

test('matrix units: a mean far from 0 loses no variance', () =>
  onFamily(matrix, async (units) => {
    // f16 knows 1e3 to 0.5, so both plans take the variance of the same rounded numbers.
    const given: Case = { shape: [2, 8, 40, 37], out: 12, kernel: 3, mean: 1e3, dtype: 'f16' };
    const [got, wanted] = [await run(units, given), await run(units, given, { fuse: false })];
    assert.is(got.fused[KIND], 1);
    got.running.forEach((values, i) => assertClose(`running ${i}`, values, wanted.running[i], 1e-5));
  }));

test('activations computed again give the same bits', async () => {
  const given: Case = { shape: [2, 8, 24, 20], out: 12, kernel: 3 };
  const again = await run(device, given, { checkpointActivations: true });
  assert.is(again.fused[KIND], 1);
  const kept = await run(device, given);
  assert.equal(again.values, kept.values);
  assert.equal(again.running, kept.running);
});

test('two runs give the same bits', async () => {
  for (const [, family] of families) {
    if (!family) continue;
    const given: Case = { shape: [3, 12, 41, 30], out: 20, kernel: 3 };
    assert.equal(await run(family, given), await run(family, given));
  }
});

test.run();
