/** One pass of an op forward and backward, for comparison with a reference in float64. */
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import type { Tensor } from '../../engine/graph.js';
import { elementCount, type Shape } from '../../engine/layout.js';
import { sum } from '../../engine/ops/sum.js';
import { evaluate, type Given } from './run.js';

/** A device whose storage bindings hold no more than `bytes`, so that plans split their batches. */
export const smallBindings = (device: Device, bytes: number): Device =>
  Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: bytes } });

/**
 * Awkward on purpose: 1, primes, a vec4f of channels and one more or less, more pixels than one invocation of a sum
 * takes.
 */
export const ODD_SHAPES: readonly Shape[] = [
  [1, 1, 1, 1],
  [3, 1, 7, 11],
  [2, 3, 5, 13],
  [2, 4, 9, 8],
  [1, 5, 16, 17],
  [2, 9, 3, 1],
  [2, 1, 41, 53],
];

export interface Pass {
  y: ArrayLike<number>;
  /** Gradient of sum(y * dy) for the input `x`. */
  dx: ArrayLike<number>;
}

/**
 * Runs `build` forward and backward on poisoned memory. Sums over y and dx are taken on the GPU too, where they include
 * the pads, which have to be zeros.
 * @param dy its shape is y's
 */
export async function passOf(
  device: Device,
  given: Record<'x' | 'dy' | string, Given>,
  build: (inputs: Record<string, Tensor>) => Tensor,
): Promise<{ y: Float32Array; dx: Float32Array }> {
  const [y, dx, ySum, dxSum] = await evaluate(device, given, (inputs) => {
    const made = build(inputs);
    const [gradient] = gradients([made], [inputs.dy], [inputs.x]);
    return [made, gradient, sum(made), sum(gradient)] as const;
  });
  const sums = { y: [y, ySum], dx: [dx, dxSum] };
  for (const [name, [values, total]] of Object.entries(sums)) {
    const exact = values.reduce((a, value) => a + value, 0);
    const scale = values.reduce((a, value) => a + Math.abs(value), 0);
    assert.ok(
      Math.abs(total[0] - exact) <= 1e-5 * scale + 1e-6,
      `the pads of ${name}: sum ${total[0]} with, ${exact} without`,
    );
  }
  return { y, dx };
}

/** Every element within `tolerance` of the largest reference, NaN never. */
export function assertClose(
  what: string,
  got: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance = 2e-5,
): void {
  assert.is(got.length, reference.length, `${what}: number of elements`);
  let largest = 0;
  for (let i = 0; i < reference.length; i++) largest = Math.max(largest, Math.abs(reference[i]));
  for (let i = 0; i < got.length; i++) {
    const error = Math.abs(got[i] - reference[i]);
    assert.ok(error <= tolerance * largest + 1e-7, `${what}: element ${i} is ${got[i]} instead of ${reference[i]}`);
  }
}

/**
 * Runs an op and its float64 reference on the odd shapes, twice each, since two runs have to give the same bits, and on
 * a split batch.
 */
export async function checkShapes(
  device: Device,
  given: (shape: Shape) => Record<string, Given>,
  build: (inputs: Record<string, Tensor>) => Tensor,
  reference: (shape: Shape, values: Record<string, ArrayLike<number>>) => Pass,
): Promise<void> {
  const check = async (on: Device, shape: Shape) => {
    const inputs = given(shape);
    const expected = reference(
      shape,
      Object.fromEntries(Object.entries(inputs).map(([name, { values }]) => [name, values])),
    );
    const got = await passOf(on, inputs, build);
    assertClose(`y for [${shape}]`, got.y, expected.y);
    assertClose(`dx for [${shape}]`, got.dx, expected.dx);
    return { inputs, got };
  };
  for (const shape of ODD_SHAPES) {
    const { inputs, got } = await check(device, shape);
    assert.equal(await passOf(device, inputs, build), got, `two runs for [${shape}]`);
  }
  // An image takes 2 KiB here, so that the five of them need three dispatches.
  await check(smallBindings(device, 4096), [5, 5, 8, 8]);
}

/** 0 and 1 in no regular order. */
export const binary = (shape: Shape): Float32Array =>
  Float32Array.from({ length: elementCount(shape) }, (_, i) => Number((i * 2654435761) % 4294967296 < 1717986918));
