import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { create } from 'webgpu';
import { largestMatrix } from '../../engine/device.js';
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
    const module = nothing.createShaderModule({ code: specialise(shader, shaderText(shader), constants).code });
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
        await check('conv2dMatrix', { ...shape, LANES, SPAN, DOWN, ACROSS, DEPTH, ADD: DEPTH === shape.K });
      }
    }
    await check('conv2dWeightGradientMatrix', { ...shape, LANES, SPAN, SIDE: 2, DEPTH: 2 * shape.K });
    await check('ceilingMatrix', { ...shape, LANES: 128, LEFTS: 2, RIGHTS: 4, LOOPS: 64 });
  }
  nothing.destroy();
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
