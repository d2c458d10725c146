import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { create } from 'webgpu';
import { measureCeilings, rooflineMs } from '../../bench/ceilings.js';
import { formAt } from '../../cli/verify/variants.js';
import { gradients } from '../../engine/autograd.js';
import { Device, largestMatrix, type MatrixShape } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { type Dispatch, Lowering } from '../../engine/lowering.js';
import { cast } from '../../engine/ops/cast.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { isMatrix } from '../../engine/ops/convMatrix.js';
import { type Constants, specialise } from '../../engine/wgsl.js';
import { checkConvolution, type ConvolutionCase, matrixFamily, onFamily } from '../helpers/convolution.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const traits = { ...device.traits, kernels: 'matrix' as const, matrix: { M: 16, N: 16, K: 16 } };
// Kept reachable: Dawn ends the process when it is collected while a device is in use.
const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
const test = suite('convMatrix');

/** Matrices that adapters list. */
const SHAPES = [
  { M: 16, N: 16, K: 16 },
  { M: 16, N: 8, K: 16 },
  { M: 16, N: 8, K: 8 },
  { M: 8, N: 8, K: 8 },
];

/** What the matrix kernels are given for a convolution and its gradients, in the form at this place. */
function matrixDispatches(matrix: MatrixShape, channels: number, place: number): Dispatch[] {
  const graph = new Graph();
  const x = graph.input('x', [1, channels, 8, 8], 'image', 'f16');
  const w = graph.input('w', [channels, channels, 3, 3], 'filter');
  const y = conv2d(x, w, undefined, { padding: 1 });
  const dy = graph.input('dy', y.shape, 'image', 'f16');
  gradients([y], [dy], [x, w]);
  const some = { ...traits, matrix, subgroupSize: 32, choose: formAt(place) };
  const all = graph.nodes.flatMap((node) => {
    const to = new Lowering(some, node.op.name);
    node.op.lower(node, to);
    return to.dispatches;
  });
  return all.filter(({ shader }) => /Matrix$/.test(shader));
}

test('every form compiles for every shape of matrices that adapters list, within the limits that WebGPU promises', async () => {
  const adapter = (await gpu.requestAdapter())!;
  const features = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'] as GPUFeatureName[];
  const nothing = await adapter.requestDevice({ requiredFeatures: features });
  const { shaderText } = device.platform;
  const check = async (shader: string, constants: Constants) => {
    const module = nothing.createShaderModule({ code: specialise(shader, shaderText, constants).code });
    const { messages } = await module.getCompilationInfo();
    assert.equal(
      messages.map(
        ({ type, lineNum, message }) => `${shader} ${JSON.stringify(constants)}: ${type} ${lineNum} ${message}`,
      ),
      [],
    );
    // The pipeline checks sizes of workgroups and their memory as well.
    await nothing.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  };
  const seen = new Set<string>();
  for (const shape of SHAPES) {
    for (const channels of [shape.K, 72]) {
      for (const { shader, constants } of [0, 1, 2].flatMap((place) => matrixDispatches(shape, channels, place))) {
        const { ADD, ...tile } = constants!;
        if (seen.has(JSON.stringify(tile))) continue;
        seen.add(JSON.stringify(tile));
        await check(shader, constants!);
        if (ADD === undefined) continue;
        for (const [MOMENTS, ADD] of [
          [true, false],
          [false, true],
          [true, true],
        ]) {
          await check(shader, { ...constants, MOMENTS, ADD });
        }
      }
    }
    // Of one block of channels the rule's form alone, of more all three, and two of the filter's gradient.
    assert.is([...seen].filter((tile) => tile.startsWith(JSON.stringify(shape).slice(0, -1))).length, 1 + 3 + 2);
  }
  nothing.destroy();
});

const matrix = await matrixFamily();
for (const place of [1, 2]) {
  test(`form ${place + 1} of the kernels computes what plain sums do`, () =>
    onFamily(matrix, async (device) => {
      const some = device.withHabits({ choose: formAt(place) });
      const cases: ConvolutionCase[] = [
        // A tile and a channel, several tiles, a stride, and phases.
        { op: 'conv2d', x: [2, 33, 9, 15], out: 65, kernel: [3, 3], padding: 1, bias: true },
        { op: 'conv2d', x: [2, 72, 19, 17], out: 136, kernel: [3, 3], padding: 1 },
        { op: 'conv2d', x: [1, 40, 12, 13], out: 35, kernel: [3, 3], stride: 2, padding: 1, bias: true },
        { op: 'convTranspose2d', x: [2, 41, 5, 7], out: 66, kernel: [2, 2], stride: 2, bias: true },
      ];
      for (const c of cases) await checkConvolution(some, c, 'f16');
    }));
}

test('their ceiling is measured where they are', async () => {
  const adapter = (await gpu.requestAdapter())!;
  const nothing = await Device.open(adapter, { ...device.platform, name: 'nothing', kernels: 'tiled' });
  for (const matrix of [
    { M: 16, N: 16, K: 16 },
    { M: 16, N: 8, K: 8 },
  ]) {
    const units = Object.assign(Object.create(nothing) as Device, {
      traits: { ...nothing.traits, matrix, subgroupSize: 128 },
    });
    const ceilings = await measureCeilings(units, { rounds: 1, roundMs: 0 });
    const { work, op, cost, rate } = ceilings.matrix!;
    assert.equal([work, op], ['ceiling: matrix multiply-adds', 'ceilingMatrix']);
    assert.ok(rate > 0);
    const call = { flop: cost.flop, bytes: 0 };
    assert.ok(Math.abs(rooflineMs(call, ceilings, ['filterHalves', 'conv2dMatrix']) - call.flop / rate / 1e6) <= 1e-9);
    assert.is(rooflineMs(call, ceilings, ['conv2dTiled']), call.flop / ceilings.fma.rate / 1e6);
  }
  assert.is((await measureCeilings(nothing, { rounds: 1, roundMs: 0 })).matrix, undefined);
  nothing.close();
});

test('the largest product of f16 into f32 is taken', () => {
  const f16 = { componentType: 'f16', resultComponentType: 'f32' };
  const configs = [
    { ...f16, M: 16, N: 8, K: 16 },
    { ...f16, M: 16, N: 16, K: 16 },
    { componentType: 'i8', resultComponentType: 'i32', M: 16, N: 16, K: 32 },
    { componentType: 'f16', resultComponentType: 'f16', M: 32, N: 32, K: 16 },
  ];
  assert.equal(largestMatrix(configs), { M: 16, N: 16, K: 16 });
  assert.is(largestMatrix(configs.slice(2)), undefined);
});

test('only where the adapter has them, for f16 and enough channels', () => {
  const without = Object.assign(Object.create(device) as Device, { traits: { ...device.traits, matrix: undefined } });
  assert.throws(() => without.withKernels('matrix'), /has no matrix units that multiply f16 into f32, or hides them/);
  const graph = new Graph();
  const image = (channels: number) => graph.input('x', [1, channels, 8, 8]);
  const half = (channels: number) => cast(image(channels), 'f16');
  assert.ok(isMatrix(traits, half(16), half(8)));
  assert.not.ok(isMatrix(traits, half(3), half(64)));
  assert.not.ok(isMatrix(traits, image(16), image(16)));
  assert.not.ok(isMatrix(device.traits, half(16), half(16)));
});

test.run();
