import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import type { Layout } from '../../engine/layout.js';
import { concat } from '../../engine/ops/concat.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { WINOGRAD } from '../../engine/ops/convWinograd.js';
import { Plan } from '../../engine/plan.js';
import {
  checkConvolution,
  type ConvolutionCase,
  reference,
  relativeError,
  run,
  withBindingLimit,
} from '../helpers/convolution.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { assertClose } from '../helpers/pass.js';
import { checkGradients, normal } from '../helpers/run.js';
import { skip } from '../helpers/skip.js';

const device = await testDevice();
const test = suite('convWinograd');

const offered = device.traits.kernels === 'subgroup' && device.traits.maxTexelBytes > 0;
const missing = 'the adapter has no texture loads';
/** Winograd's form wherever it is offered. */
const winograd = device.withHabits({
  choose: (_, forms) => {
    const place = forms.indexOf(WINOGRAD);
    return place < 0 ? undefined : place;
  },
});

/** The shaders of a convolution's y and of the gradients of its input and filter, in order. */
async function shadersOf(on: Device, { x: shape, out, kernel, padding = 0, stride = 1 }: ConvolutionCase) {
  const graph = new Graph();
  const x = graph.input('x', shape);
  const w = graph.input('w', [out, shape[1], ...kernel], 'filter');
  const y = conv2d(x, w, undefined, { padding, stride });
  const made = gradients([y], [graph.input('dy', y.shape)], [x, w]);
  const plan = await Plan.compile(on, graph, { outputs: [y, ...made] });
  const shaders = plan.dispatches.map(({ shader }) => shader);
  plan.destroy();
  return shaders;
}

const usesOf = async (on: Device, c: ConvolutionCase): Promise<number> =>
  (await shadersOf(on, c)).filter((shader) => shader === WINOGRAD).length;

for (const golden of goldenCases('conv2d').filter(({ name }) => name.includes('k3s1'))) {
  test(`golden ${golden.name}`, () => (offered ? checkOpCase(winograd, golden) : skip(missing)));
}

const op = 'conv2d';
const kernel = [3, 3] as const;
const cases: Record<string, ConvolutionCase> = {
  'one pixel': { op, x: [3, 5, 1, 1], out: 8, kernel, padding: 1, bias: true },
  'a row and a column': { op, x: [2, 8, 1, 9], out: 6, kernel, padding: 1 },
  'whole patches': { op, x: [1, 8, 8, 16], out: 32, kernel, padding: 1 },
  'a block of patches less one': { op, x: [1, 8, 2, 62], out: 8, kernel, padding: 1, bias: true },
  'a block of patches and one, cut by the edge': { op, x: [1, 9, 5, 21], out: 33, kernel, padding: 1 },
  'blocks that span images': { op, x: [7, 6, 5, 3], out: 7, kernel, padding: 1, bias: true },
  'no padding, primes': { op, x: [2, 6, 17, 7], out: 11, kernel, bias: true },
  'padding 3, which the gradient crops': { op, x: [1, 5, 11, 13], out: 12, kernel, padding: 3 },
  'another padding on each axis': { op, x: [2, 8, 6, 9], out: 8, kernel, padding: [2, 0] },
  'several blocks of channels': { op, x: [1, 130, 7, 9], out: 67, kernel, padding: 1, bias: true },
  'more patches than are made at once': { op, x: [1, 32, 97, 95], out: 8, kernel, padding: 1 },
};
for (const [name, c] of Object.entries(cases)) {
  test(`3x3, ${name}`, async () => {
    if (!offered) return skip(missing);
    assert.ok((await usesOf(winograd, c)) >= 2, 'forward and the gradient of the input are both of this form');
    await checkConvolution(winograd, c);
  });
}

test('a batch larger than a binding is split', async () => {
  if (!offered) return skip(missing);
  const c: ConvolutionCase = { op, x: [5, 8, 32, 16], out: 8, kernel, padding: 1, bias: true };
  const some = withBindingLimit(winograd, 40000);
  assert.ok((await usesOf(some, c)) >= 6);
  await checkConvolution(some, c);
});

test('it is no less exact than the direct sum', async () => {
  if (!offered) return skip(missing);
  const c: ConvolutionCase = { op, x: [1, 64, 24, 24], out: 64, kernel, padding: 1 };
  const want = reference(c);
  const direct = device.withHabits({ choose: (_, forms) => forms.findIndex((form) => form !== WINOGRAD) });
  const [ours, theirs] = [await run(winograd, c), await run(direct, c)];
  for (const pass of ['y', 'dx'] as const) {
    const error = relativeError(ours[pass], want[pass]);
    assert.ok(error <= 1e-6 && error <= relativeError(theirs[pass], want[pass]), `${pass} is off by ${error}`);
  }
});

test('gradients by finite differences', async () => {
  if (!offered) return skip(missing);
  const given = {
    x: { shape: [2, 5, 5, 6], values: normal([2, 5, 5, 6], 'x') },
    w: { shape: [6, 5, 3, 3], layout: 'filter' as Layout, values: normal([6, 5, 3, 3], 'w') },
    b: { shape: [6], layout: 'vector' as Layout, values: normal([6], 'b') },
  };
  await checkGradients(winograd, given, ({ x, w, b }) => conv2d(x, w, b, { padding: 1 }), ['x', 'w', 'b']);
});

test('the same bits in every run', async () => {
  if (!offered) return skip(missing);
  const c: ConvolutionCase = { op, x: [2, 6, 40, 40], out: 7, kernel, padding: 1, bias: true };
  const [first, second] = [await run(winograd, c), await run(winograd, c)];
  for (const pass of ['y', 'dx'] as const) assert.equal(second[pass], first[pass]);
});

test('concatenated maps, and the gradients of each', async () => {
  if (!offered) return skip(missing);
  const results = async (on: Device, fuse: boolean) => {
    const graph = new Graph();
    const maps = [8, 12].map((channels, i) => graph.input(`map ${i}`, [3, channels, 7, 9]));
    const w = graph.input('w', [6, 20, 3, 3], 'filter');
    const y = conv2d(concat(maps), w, graph.input('bias', [6], 'vector'), { padding: 1 });
    const made = gradients([y], [graph.input('dy', y.shape)], maps);
    const plan = await Plan.compile(on, graph, { outputs: [y, ...made], poison: true, fuse });
    for (const input of graph.inputs) plan.write(input, normal(input.shape, input.name));
    plan.run();
    const values = await plan.read(y, ...made);
    const uses = plan.dispatches.filter(({ shader }) => shader === WINOGRAD).length;
    plan.destroy();
    return { values, uses };
  };
  const plain = await results(device.withKernels('plain'), false);
  const ours = await results(winograd, true);
  assert.ok(ours.uses >= 3);
  ours.values.forEach((values, i) => assertClose(`value ${i}`, values, plain.values[i], 1e-5));
});

test('the rule takes it for many channels and patches, and nowhere else', async () => {
  if (!offered) return skip(missing);
  const same = { op, kernel, padding: 1 } as const;
  // At 16 lanes it is level.
  const many: ConvolutionCase = { ...same, x: [4, 128, 16, 16], out: 128 };
  assert.is(await usesOf(device, many), device.traits.subgroupSize === 8 ? 2 : 0);
  for (const few of [
    { ...same, x: [4, 16, 32, 32], out: 16 },
    { ...same, x: [4, 128, 4, 4], out: 128 },
    { ...same, x: [4, 128, 32, 32], out: 128, stride: 2 },
    { ...same, x: [4, 128, 16, 16], out: 128, kernel: [1, 1] },
  ] as const) {
    assert.is(await usesOf(device, few), 0, JSON.stringify(few));
  }
  for (const other of [device.withKernels('tiled'), device.withKernels('subgroup', false)]) {
    assert.is(await usesOf(other, { ...same, x: [1, 128, 32, 32], out: 128 }), 0);
  }
});

test.run();
