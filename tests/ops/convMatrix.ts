import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { create } from 'webgpu';
import { measureCeilings, rooflineMs } from '../../bench/ceilings.js';
import { Device, largestMatrix } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { cast } from '../../engine/ops/cast.js';
import { isMatrix } from '../../engine/ops/convMatrix.js';
import { type Constants, specialise } from '../../engine/wgsl.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const traits = { ...device.traits, kernels: 'matrix' as const, matrix: { M: 16, N: 16, K: 16 } };
// Kept reachable: Dawn ends the process when it is collected while a device is in use.
const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
const test = suite('convMatrix');

test('the kernels compile for every shape of matrices that adapters list', async () => {
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
  const shapes = [
    { M: 16, N: 16, K: 16 },
    { M: 16, N: 8, K: 16 },
    { M: 16, N: 8, K: 8 },
    { M: 8, N: 8, K: 8 },
  ];
  for (const shape of shapes) {
    const [SPAN, LANES] = [2 * Math.max(shape.M, shape.N), 32];
    for (const [DOWN, ACROSS] of [
      [2, 2],
      [4, 1],
    ]) {
      for (const DEPTH of [shape.K, 2 * shape.K]) {
        for (const MOMENTS of [false, true]) {
          await check('conv2dMatrix', { ...shape, LANES, SPAN, DOWN, ACROSS, DEPTH, ADD: DEPTH === shape.K, MOMENTS });
        }
      }
    }
    await check('conv2dWeightGradientMatrix', { ...shape, LANES, SPAN, SIDE: 2, DEPTH: 2 * shape.K });
  }
  nothing.destroy();
});

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
  assert.throws(() => device.withKernels('matrix'), /has no matrix units that multiply f16 into f32, or hides them/);
  const graph = new Graph();
  const image = (channels: number) => graph.input('x', [1, channels, 8, 8]);
  const half = (channels: number) => cast(image(channels), 'f16');
  assert.ok(isMatrix(traits, half(16), half(8)));
  assert.not.ok(isMatrix(traits, half(3), half(64)));
  assert.not.ok(isMatrix(traits, image(16), image(16)));
  assert.not.ok(isMatrix(device.traits, half(16), half(16)));
});

test.run();
