/**
 * Whether an adapter computes with f16 as training needs it. Its feature flag alone says little: drivers are known to read f16
 * from memory as zeros, and WGSL leaves open whether a number too large for f16 becomes infinite or the largest one. The
 * loss scale lives by the former.
 */
import { type Device, DeviceError } from './device.js';
import { gradients } from './autograd.js';
import { Graph, type Tensor } from './graph.js';
import { elementCount } from './layout.js';
import { add } from './ops/add.js';
import { cast } from './ops/cast.js';
import { conv2d } from './ops/conv2d.js';
import { Plan } from './plan.js';
import { Random } from './random.js';

/** Exact in f16, its smallest and largest numbers among them; and the first two that are too large. */
const GIVEN = [1, -0.333251953125, 2 ** -24, 2 ** -14, 1024, 32752, 1e6, -65520];
const DOUBLED = [2, -0.66650390625, 2 ** -23, 2 ** -13, 2048, 65504, Infinity, -Infinity];

/** @throws DeviceError when the adapter has no f16, or the numbers that it computes are not those of IEEE 754 */
export async function requireHalves(device: Device): Promise<void> {
  const { name } = device.platform;
  if (!device.gpu.features.has('shader-f16')) {
    throw new DeviceError(`${name} has no f16 (shader-f16); leave --precision f16 out, or choose another --adapter`);
  }
  const graph = new Graph();
  const x = graph.input('x', [1, GIVEN.length, 1, 1]);
  const half = cast(x, 'f16');
  const sum = cast(add(half, half), 'f32');
  const plan = await Plan.compile(device, graph, { outputs: [sum] });
  plan.write(x, GIVEN);
  plan.run();
  const [got] = await plan.read(sum);
  plan.destroy();
  const wrong = DOUBLED.findIndex((wanted, i) => !Object.is(got[i], wanted));
  if (wrong < 0) return;
  throw new DeviceError(
    `${name} has f16, but twice ${GIVEN[wrong]} is ${got[wrong]} there instead of ${DOUBLED[wrong]}; leave --precision f16 out`,
  );
}

/** More than a tile of pixels and channels, and none of them whole; the gradient for x is a transposed convolution. */
const PROBE = { x: [2, 41, 13, 11], w: [69, 41, 3, 3], stride: 2 };

/**
 * The device with its convolutions on matrix units where it has them and they compute what the plain kernels do, else without;
 * its description says why. A processor has none: what llvmpipe lists are loops, and a UNet's step of width 16 (128x128,
 * batch 4) gave 1.3 images/s with them and 9.4 without (Mesa 26.1.6, two cores of a 2.6 GHz Zen 4).
 */
export async function withMatrixUnits(device: Device): Promise<Device> {
  if (!device.traits.matrix || device.traits.cpu) return device;
  const units = device.withKernels('matrix');
  const [got, wanted] = [await convolve(units), await convolve(device.withKernels('plain'))];
  for (const [i, pass] of (['forward', 'data gradient', 'weight gradient'] as const).entries()) {
    const largest = wanted[i].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const error = wanted[i].reduce((most, value, k) => {
      const off = Math.abs(got[i][k] - value);
      // What is not a number is infinitely far off.
      return off <= most ? most : off <= Infinity ? off : Infinity;
    }, 0);
    // Filters are rounded to f16 for matrix units alone: 2^-11 of each weight.
    if (error <= 4e-3 * largest) continue;
    return device.withRemark(`matrix units not used: a convolution's ${pass} is off by ${error / largest} there`);
  }
  return units;
}

/** A convolution and its gradients, of numbers that are the same every time. */
async function convolve(device: Device): Promise<Float32Array[]> {
  const graph = new Graph();
  const x = graph.input('x', PROBE.x);
  const w = graph.input('w', PROBE.w, 'filter');
  const y = cast(conv2d(cast(x, 'f16'), w, undefined, { stride: PROBE.stride, padding: 1 }), 'f32');
  const dy = graph.input('dy', y.shape);
  const outputs = [y, ...gradients([y], [dy], [x, w])];
  const plan = await Plan.compile(device, graph, { outputs });
  const random = new Random('probe of matrix units');
  const fill = (input: Tensor) =>
    plan.write(
      input,
      Float32Array.from({ length: elementCount(input.shape) }, () => random.uniform(-1, 1)),
    );
  [x, w, dy].forEach(fill);
  plan.run();
  try {
    return await plan.read(...outputs);
  } finally {
    plan.destroy();
  }
}
