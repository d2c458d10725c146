import { type Node, type Op, recordOne, type Tensor } from '../graph.js';
import { type Geometry, pair } from './convForms.js';
import { channelSum } from './channelSum.js';
import { convolve, filterGradient, transposeFilter } from './convolution.js';

export interface ConvTranspose2dOptions {
  /** A number, or [rows, columns]. Default 1. */
  stride?: number | readonly number[];
  /** Rows and columns taken off on all sides of the output; a number, or [rows, columns]. Default 0. */
  padding?: number | readonly number[];
  /** Rows and columns added at the bottom and right; a number below the stride, or [rows, columns]. Default 0. */
  outputPadding?: number | readonly number[];
}

export const convTranspose2dOp: Op<Geometry> = {
  name: 'convTranspose2d',
  // Where windows do not overlap, a number is one dot product with the channels of a single pixel.
  again: (node) =>
    node.attributes.kernel.every((size, axis) => size <= node.attributes.stride[axis]) ? (node as Node) : undefined,
  lower(node, to) {
    const [x, w, bias] = node.inputs;
    convolve(to, { x, w, bias, y: node.outputs[0] }, node.attributes);
  },
  gradient(node, [dy], wanted) {
    const [x, w] = node.inputs;
    const { shape, layout } = w;
    return [
      wanted[0]
        ? recordOne(convTranspose2dInputGradientOp, [dy!, w], { shape: x.shape, dtype: x.dtype }, node.attributes)
        : undefined,
      wanted[1] ? recordOne(convTranspose2dWeightGradientOp, [x, dy!], { shape, layout }, node.attributes) : undefined,
      wanted[2] ? channelSum(dy!) : undefined,
    ];
  },
};

/** dx[n,c,iy,ix] = sum over o,ky,kx of dy[n, o, iy*stride + ky - padding, ...] * w[c,o,ky,kx]: a conv2d of dy */
export const convTranspose2dInputGradientOp: Op<Geometry> = {
  name: 'convTranspose2dInputGradient',
  lower(node, to) {
    const [dy, w] = node.inputs;
    const geometry = { ...node.attributes, transposed: false };
    convolve(to, { x: dy, ...transposeFilter(to, w, false), y: node.outputs[0] }, geometry);
  },
};

/** dw[c,o,ky,kx] = sum over n,iy,ix of x[n,c,iy,ix] * dy[n, o, iy*stride + ky - padding, ix*stride + kx - padding] */
export const convTranspose2dWeightGradientOp: Op<Geometry> = {
  name: 'convTranspose2dWeightGradient',
  lower(node, to) {
    const [x, dy] = node.inputs;
    filterGradient(to, { x, dy, dw: node.outputs[0] }, node.attributes);
  },
};

/**
 * y[n,o,oy,ox] = bias[o] + sum of x[n,c,iy,ix] * weight[c,o,ky,kx] over all c, iy, ix, ky, kx that lead there, which is
 * oy = iy*stride + ky - padding (likewise ox): PyTorch's `conv_transpose2d` without dilation and groups.
 *
 * @param x (N, C, H, W)
 * @param weight (C, O, kh, kw), layout `transposedFilter`
 * @param bias (O), layout `vector`
 * @returns (N, O, (H - 1) stride - 2 padding + kh + outputPadding, the same of W)
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { stride = 1, padding = 0, outputPadding = 0 }: ConvTranspose2dOptions = {},
): Tensor {
  const op = 'convTranspose2d';
  if (x.layout !== 'image') throw new Error(`${op}: the input ${x} has layout ${x.layout}, not image`);
  if (weight.layout !== 'transposedFilter') {
    throw new Error(`${op}: the weight ${weight} has layout ${weight.layout}, not transposedFilter`);
  }
  const [batch, channels, height, width] = x.shape;
  const [expected, out, kernelHeight, kernelWidth] = weight.shape;
  if (channels !== expected) {
    throw new Error(
      `${op}: input has ${channels} channels but weight [${weight.shape.join(', ')}] expects ${expected}`,
    );
  }
  if (bias && (bias.layout !== 'vector' || bias.shape[0] !== out)) {
    throw new Error(
      `${op}: the bias ${bias} (${bias.layout}) should be a vector of ${out}, as the weight ${weight} gives`,
    );
  }
  const strides = pair(`${op}: stride`, stride, 1);
  const paddings = pair(`${op}: padding`, padding, 0);
  const extra = pair(`${op}: outputPadding`, outputPadding, 0);
  if (extra[0] >= strides[0] || extra[1] >= strides[1]) {
    throw new Error(`${op}: outputPadding ${extra.join('x')} has to be smaller than the stride ${strides.join('x')}`);
  }
  const size = (input: number, kernel: number, axis: 0 | 1): number =>
    (input - 1) * strides[axis] - 2 * paddings[axis] + kernel + extra[axis];
  const [oh, ow] = [size(height, kernelHeight, 0), size(width, kernelWidth, 1)];
  if (oh < 1 || ow < 1) {
    throw new Error(`${op}: padding ${paddings.join('x')} leaves nothing of the output of input ${height}x${width}`);
  }
  const inputs = bias ? [x, weight, bias] : [x, weight];
  const geometry = {
    kernel: [kernelHeight, kernelWidth],
    stride: strides,
    padding: paddings,
    transposed: true,
  } as const;
  return recordOne(convTranspose2dOp, inputs, { shape: [batch, out, oh, ow], dtype: x.dtype }, geometry);
}
