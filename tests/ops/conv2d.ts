import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { create } from 'webgpu';
import { FORMS, formAt } from '../../cli/verify/variants.js';
import { Graph } from '../../engine/graph.js';
import type { Layout } from '../../engine/layout.js';
import { Lowering } from '../../engine/lowering.js';
import { chooseConvolve } from '../../engine/ops/convForms.js';
import { conv2d, conv2dOp } from '../../engine/ops/conv2d.js';
import { specialise } from '../../engine/wgsl.js';
import {
  checkConvolution,
  type ConvolutionCase,
  convolutionFamilies,
  matrixFamily,
  onFamily,
  run,
  withBindingLimit,
} from '../helpers/convolution.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, normal } from '../helpers/run.js';

// Kept reachable: Dawn ends the process when it is collected while a device is in use.
const gpu = create(['backend=null']);
const device = await testDevice();
const families = await convolutionFamilies();
const devices = families.flatMap(({ device }) => device ?? []);
const matrix = await matrixFamily();
const test = suite('conv2d');

for (const golden of goldenCases('conv2d')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

const op = 'conv2d';
const cases: Record<string, ConvolutionCase> = {
  '3x3, one pixel': { op, x: [3, 1, 1, 1], out: 5, kernel: [3, 3], padding: 1, bias: true },
  '3x3, a tile': { op, x: [1, 4, 8, 8], out: 8, kernel: [3, 3], padding: 1 },
  '3x3, a tile less one and plus one': { op, x: [2, 5, 7, 9], out: 33, kernel: [3, 3], padding: 1, bias: true },
  '3x3, many channels to one': { op, x: [1, 130, 7, 9], out: 1, kernel: [3, 3], padding: 1, bias: true },
  '3x3, no padding, primes': { op, x: [2, 6, 17, 7], out: 9, kernel: [3, 3], bias: true },
  '3x3, padding 3': { op, x: [1, 3, 11, 13], out: 12, kernel: [3, 3], padding: 3 },
  '3x3, small maps and many channels': { op, x: [4, 40, 4, 4], out: 48, kernel: [3, 3], padding: 1 },
  '3x3, several blocks of everything': { op, x: [2, 17, 16, 20], out: 65, kernel: [3, 3], padding: 1 },
  '3x3, enough pixels for the large tile': { op, x: [1, 4, 127, 131], out: 5, kernel: [3, 3], padding: 1, bias: true },
  '3x3, stride 2, leftover row and column': { op, x: [2, 7, 10, 12], out: 6, kernel: [3, 3], stride: 2, bias: true },
  '7x7, stride 2, padding 3': { op, x: [1, 3, 23, 19], out: 10, kernel: [7, 7], stride: 2, padding: 3, bias: true },
  '3x3, two channels to many': { op, x: [2, 2, 9, 10], out: 66, kernel: [3, 3], padding: 1, bias: true },
  '5x4, four channels, both axes different': {
    op,
    x: [2, 4, 12, 17],
    out: 37,
    kernel: [5, 4],
    stride: [1, 3],
    padding: [0, 2],
    bias: true,
  },
  '3x9, one channel': { op, x: [1, 1, 7, 13], out: 3, kernel: [3, 9], padding: [1, 4] },
  '1x1': { op, x: [2, 65, 9, 9], out: 1, kernel: [1, 1], bias: true },
  '1x1, three channels to four': { op, x: [3, 3, 5, 7], out: 4, kernel: [1, 1], bias: true },
  '1x1, many pixels to two': { op, x: [1, 18, 67, 71], out: 2, kernel: [1, 1] },
  '1x1, stride 2': { op, x: [2, 9, 8, 11], out: 5, kernel: [1, 1], stride: 2 },
  '2x3, stride 3, no padding': { op, x: [2, 6, 12, 13], out: 50, kernel: [2, 3], stride: 3, bias: true },
  '1x1, stride 3, padding 1': { op, x: [2, 5, 7, 7], out: 6, kernel: [1, 1], stride: 3, padding: 1, bias: true },
  '2x3, both axes different': {
    op,
    x: [1, 5, 10, 9],
    out: 3,
    kernel: [2, 3],
    stride: [3, 1],
    padding: [1, 0],
    bias: true,
  },
};
for (const family of families) {
  for (const [name, c] of Object.entries(cases))
    test(`${family.kernels}: ${name}`, () => onFamily(family, (device) => checkConvolution(device, c)));
}

test('matrix: all of these', () =>
  onFamily(matrix, async (device) => {
    for (const c of Object.values(cases)) await checkConvolution(device, c, 'f16');
  }));

test('every tile of the tiled kernel compiles within the limits that WebGPU promises', async () => {
  // llvmpipe takes ten seconds and more for each, so the driver is left out.
  const nothing = await (await gpu.requestAdapter())!.requestDevice();
  const geometry = { kernel: [3, 3], stride: [1, 1], padding: [1, 1], transposed: false } as const;
  for (let place = 0; place < FORMS; place++) {
    const traits = { ...device.traits, kernels: 'tiled' as const, choose: formAt(place) };
    const { shader, constants } = chooseConvolve(traits, geometry, [2, 64, 64, 64]);
    for (const MOMENTS of [false, true]) {
      const types = { Quad: 'vec4f', Stored: 'f32', Number: 'f32' } as const;
      const given = { ...constants, ADD: false, MOMENTS, ...types };
      const text = specialise(shader, device.platform.shaderText, given);
      const module = nothing.createShaderModule({ code: text.code });
      await nothing.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    }
  }
  nothing.destroy();
});

test('gradients by finite differences', async () => {
  const given = {
    x: { shape: [2, 3, 6, 5], values: normal([2, 3, 6, 5], 'x') },
    w: { shape: [4, 3, 3, 3], layout: 'filter' as Layout, values: normal([4, 3, 3, 3], 'w') },
    b: { shape: [4], layout: 'vector' as Layout, values: normal([4], 'b') },
  };
  await checkGradients(device, given, ({ x, w, b }) => conv2d(x, w, b, { padding: 1 }), ['x', 'w', 'b']);
  await checkGradients(device, given, ({ x, w, b }) => conv2d(x, w, b, { stride: 2 }), ['x', 'w', 'b']);
});

test('a batch larger than a binding is split', async () => {
  const c: ConvolutionCase = { op, x: [5, 3, 8, 8], out: 5, kernel: [3, 3], padding: 1, bias: true };
  const wide: ConvolutionCase = { op, x: [5, 6, 8, 8], out: 5, kernel: [3, 3], stride: 2, bias: true };
  const head: ConvolutionCase = { op, x: [5, 7, 8, 8], out: 2, kernel: [1, 1], bias: true };
  for (const some of devices) {
    await checkConvolution(withBindingLimit(some, 4096), c);
    await checkConvolution(withBindingLimit(some, 4096), head);
    await checkConvolution(withBindingLimit(some, 4096), wide);
  }
  const graph = new Graph();
  const y = conv2d(graph.input('x', [5, 3, 8, 8]), graph.input('w', [5, 3, 3, 3], 'filter'), undefined, { padding: 1 });
  const to = new Lowering(withBindingLimit(device, 4096).traits, 'y');
  conv2dOp.lower(y.producer as never, to);
  assert.is(to.dispatches.length, 3);
});

test('the same bits in every run', async () => {
  const c: ConvolutionCase = { op, x: [2, 6, 40, 40], out: 7, kernel: [3, 3], padding: 1, bias: true };
  for (const some of devices) {
    const [first, second] = [await run(some, c), await run(some, c)];
    for (const pass of ['y', 'dx', 'dw', 'db'] as const) assert.equal(second[pass], first[pass]);
  }
});

test('matrix: a batch larger than a binding is split, and every run gives the same bits', () =>
  onFamily(matrix, async (device) => {
    const many: ConvolutionCase = { op, x: [5, 9, 8, 8], out: 37, kernel: [3, 3], padding: 1, bias: true };
    await checkConvolution(withBindingLimit(device, 16384), many, 'f16');
    assert.equal(await run(device, many, 'f16'), await run(device, many, 'f16'));
  }));

test('the kernel follows from shapes and adapter', () => {
  const cpu = { ...device.traits, kernels: 'subgroup' as const, subgroupSize: 8, maxWorkgroups: 65535 };
  const same = { kernel: [3, 3], stride: [1, 1], padding: [1, 1], transposed: false } as const;
  const shader = (geometry: Parameters<typeof chooseConvolve>[1], shape: number[]) =>
    chooseConvolve(cpu, geometry, shape).shader;
  assert.is(shader(same, [2, 64, 64, 64]), 'conv2dSubgroup3x3');
  assert.is(shader(same, [4, 512, 1, 1]), 'conv2dSubgroup');
  assert.is(shader({ ...same, stride: [2, 2] }, [2, 64, 64, 64]), 'conv2dSubgroup');
  assert.is(shader({ ...same, transposed: true }, [2, 64, 64, 64]), 'conv2dSubgroup');
  assert.is(chooseConvolve({ ...cpu, kernels: 'tiled' }, same, [2, 64, 64, 64]).shader, 'conv2dTiled');
  // All nine taps at once leave the instruction cache at 8 lanes.
  for (const [subgroupSize, rows] of [
    [8, 1],
    [16, 3],
  ]) {
    const { constants } = chooseConvolve({ ...cpu, subgroupSize }, same, [2, 64, 64, 64], { texels: true });
    assert.is(constants.TAP_ROWS, rows);
  }
});

test('shape errors say what is wrong', () => {
  const graph = new Graph();
  const x = graph.input('x', [2, 3, 8, 8]);
  const w = graph.input('w', [64, 4, 3, 3], 'filter');
  assert.throws(() => conv2d(x, w), /conv2d: input has 3 channels but weight \[64, 4, 3, 3\] expects 4/);
  const ok = graph.input('ok', [64, 3, 3, 3], 'filter');
  assert.throws(
    () => conv2d(x, ok, graph.input('b', [63], 'vector')),
    /bias b \[63\] \(vector\) should be a vector of 64/,
  );
  assert.throws(
    () => conv2d(x, ok, undefined, { stride: 0 }),
    /conv2d: stride is 0; it has to be a whole number from 1 up/,
  );
  assert.throws(() => conv2d(x, ok, undefined, { padding: [1, 0.5] }), /conv2d: padding is \[1,0\.5\]/);
  assert.throws(
    () => conv2d(graph.input('s', [1, 3, 2, 8]), ok),
    /the kernel 3x3 is larger than the input 2x8 with padding 0x0/,
  );
  assert.throws(
    () => conv2d(x, graph.input('t', [3, 64, 3, 3], 'transposedFilter')),
    /has layout transposedFilter, not filter/,
  );
});

test.run();
