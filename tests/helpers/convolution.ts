/** Convolutions and their gradients as plain sums in float64, and the comparison of our kernels with them. */
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { type Device, DeviceError, type KernelFamily } from '../../engine/device.js';
import type { Tensor } from '../../engine/graph.js';
import { type Dtype, elementCount, type Layout, type Shape } from '../../engine/layout.js';
import { cast } from '../../engine/ops/cast.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { convTranspose2d } from '../../engine/ops/convTranspose2d.js';
import { testDevice } from './device.js';
import { evaluate, type Given, normal } from './run.js';
import { skip } from './skip.js';

export interface ConvolutionCase {
  op: 'conv2d' | 'convTranspose2d';
  /** (N, C, H, W) */
  x: Shape;
  out: number;
  kernel: readonly [number, number];
  stride?: number | readonly [number, number];
  padding?: number | readonly [number, number];
  outputPadding?: number | readonly [number, number];
  bias?: boolean;
}

export type Passes = Record<'y' | 'dx' | 'dw' | 'db', ArrayLike<number>>;

const both = (v: number | readonly [number, number] = 0): readonly [number, number] =>
  typeof v === 'number' ? [v, v] : v;

/** The inputs of a case and the gradient flowing into its output. */
function data(c: ConvolutionCase): Record<'x' | 'w' | 'b' | 'dy', Given> {
  const [n, channels, h, w] = c.x;
  const [stride, padding, extra] = [both(c.stride ?? 1), both(c.padding), both(c.outputPadding)];
  const size = (input: number, axis: 0 | 1) =>
    c.op === 'conv2d'
      ? Math.floor((input + 2 * padding[axis] - c.kernel[axis]) / stride[axis]) + 1
      : (input - 1) * stride[axis] - 2 * padding[axis] + c.kernel[axis] + extra[axis];
  const dyShape = [n, c.out, size(h, 0), size(w, 1)];
  const wShape = c.op === 'conv2d' ? [c.out, channels, ...c.kernel] : [channels, c.out, ...c.kernel];
  const layout: Layout = c.op === 'conv2d' ? 'filter' : 'transposedFilter';
  return {
    x: { shape: c.x, values: normal(c.x, 'x') },
    w: { shape: wShape, layout, values: normal(wShape, 'w') },
    b: { shape: [c.out], layout: 'vector', values: normal([c.out], 'b') },
    dy: { shape: dyShape, values: normal(dyShape, 'dy') },
  };
}

/** All sums of a case in float64: every (input pixel, tap) pair touches one output pixel. */
export function reference(c: ConvolutionCase): Passes {
  const { x, w, b, dy } = data(c);
  const [stride, padding] = [both(c.stride ?? 1), both(c.padding)];
  const conv = c.op === 'conv2d';
  const [batch, channels, height, width] = x.shape;
  const [, outs, oh, ow] = dy.shape;
  const [kh, kw] = c.kernel;
  const y = new Float64Array(elementCount(dy.shape));
  const dx = new Float64Array(elementCount(x.shape));
  const dw = new Float64Array(elementCount(w.shape));
  const db = new Float64Array(outs);
  for (let i = 0; i < y.length; i++) {
    const o = Math.floor(i / (oh * ow)) % outs;
    if (c.bias) y[i] = b.values[o];
    db[o] += dy.values[i];
  }
  // conv2d steps over output pixels, convTranspose2d over input pixels; the tap moves the other image.
  const [gh, gw, mh, mw] = conv ? [oh, ow, height, width] : [height, width, oh, ow];
  for (let n = 0; n < batch; n++)
    for (let gy = 0; gy < gh; gy++)
      for (let gx = 0; gx < gw; gx++)
        for (let ky = 0; ky < kh; ky++)
          for (let kx = 0; kx < kw; kx++) {
            const my = gy * stride[0] + ky - padding[0];
            const mx = gx * stride[1] + kx - padding[1];
            if (my < 0 || my >= mh || mx < 0 || mx >= mw) continue;
            const [iy, ix, oy, ox] = conv ? [my, mx, gy, gx] : [gy, gx, my, mx];
            for (let r = 0; r < channels; r++)
              for (let o = 0; o < outs; o++) {
                const xi = ((n * channels + r) * height + iy) * width + ix;
                const yi = ((n * outs + o) * oh + oy) * ow + ox;
                const wi = ((conv ? o * channels + r : r * outs + o) * kh + ky) * kw + kx;
                y[yi] += x.values[xi] * w.values[wi];
                dx[xi] += dy.values[yi] * w.values[wi];
                dw[wi] += dy.values[yi] * x.values[xi];
              }
          }
  return { y, dx, dw, db };
}

/** Forward and all gradients of a case on a device, on poisoned memory. @param dtype of its images */
export async function run(device: Device, c: ConvolutionCase, dtype: Dtype = 'f32'): Promise<Passes> {
  const [y, dx, dw, db] = await evaluate(device, { ...data(c) }, ({ x, w, b, dy }) => {
    const bias = c.bias ? b : undefined;
    const { stride, padding } = c;
    const input = cast(x, dtype);
    const y =
      c.op === 'conv2d'
        ? conv2d(input, w, bias, { stride, padding })
        : convTranspose2d(input, w, bias, { stride, padding, outputPadding: c.outputPadding });
    const made = cast(y, 'f32');
    const targets = bias ? [x, w, bias] : [x, w];
    return [made, ...gradients([made], [dy], targets)] as Tensor[];
  });
  return { y, dx, dw, db: db ?? [] };
}

/** Largest difference over the largest reference value (or 1, when sums cancel); NaN anywhere gives NaN. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let error = got.length === want.length ? 0 : NaN;
  let largest = 1;
  for (let i = 0; i < want.length; i++) {
    largest = Math.max(largest, Math.abs(want[i]));
    const difference = Math.abs(got[i] - want[i]);
    error = difference > error || Number.isNaN(difference) ? difference : error;
    if (Number.isNaN(error)) return NaN;
  }
  return error / largest;
}

/** Fails when a pass is off by more than f32 sums in another order, or the rounding of f16 operands, can be. */
export async function checkConvolution(device: Device, c: ConvolutionCase, dtype: Dtype = 'f32'): Promise<void> {
  const got = await run(device, c, dtype);
  const want = reference(c);
  for (const pass of ['y', 'dx', 'dw', 'db'] as const) {
    if (pass === 'db' && !c.bias) continue;
    const error = relativeError(got[pass], want[pass]);
    assert.ok(
      error <= (dtype === 'f16' ? 2e-3 : 1e-5),
      `${pass} of ${JSON.stringify(c)} with ${device.traits.kernels} kernels is off by ${error}`,
    );
  }
}

/** Kernels that tests run, and the adapter's device with them where it can. */
export interface Family {
  readonly kernels: KernelFamily;
  readonly device?: Device;
  /** Why there is no device. */
  readonly missing: string;
}

/** The kernels of f32 images, the adapter's own first. */
export async function convolutionFamilies(): Promise<Family[]> {
  const { kernels: own } = (await testDevice()).traits;
  const others = (['plain', 'tiled', 'subgroup'] as const).filter((kernels) => kernels !== own);
  return [await familyOf(own), ...(await Promise.all(others.map(familyOf)))];
}

/** Matrix units, which take f16 images alone. */
export const matrixFamily = (): Promise<Family> => familyOf('matrix');

async function familyOf(kernels: KernelFamily): Promise<Family> {
  const first = await testDevice();
  try {
    return { kernels, device: kernels === first.traits.kernels ? first : await testDevice(kernels), missing: '' };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { kernels, missing: error.message };
  }
}

/** A test on one of them. */
export async function onFamily({ device, missing }: Family, check: (device: Device) => Promise<void>): Promise<void> {
  if (!device) return skip(missing);
  await check(device);
}

/** The same adapter with a smaller storage binding, so that batches are split. */
export function withBindingLimit(device: Device, maxBindingBytes: number): Device {
  return Object.assign(Object.create(device) as Device, { traits: { ...device.traits, maxBindingBytes } });
}
