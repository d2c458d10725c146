import type { DeviceTraits } from '../device.js';
import { type Node, type Op, recordOne, type Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import { type Dispatch, Lowering } from '../lowering.js';
import { partsOf } from './batchNormPasses.js';
import { channelSum } from './channelSum.js';
import { type Geometry, pair } from './convForms.js';
import { headInputGradient, isHead } from './convHead.js';
import { giveMoments, partsOfWinograd } from './convWinograd.js';
import { canJoin, convolve, filterGradient, filterPart, transposeFilter } from './convolution.js';

export interface Conv2dOptions {
  /** A number, or [rows, columns]. Default 1. */
  stride?: number | readonly number[];
  /** Zeros on all sides; a number, or [rows, columns]. Default 0. */
  padding?: number | readonly number[];
}

/** Kernels that can also give the moments of each tile of y. */
const WITH_MOMENTS = [
  'conv2dSubgroup3x3',
  'conv2dSubgroup',
  'conv2dInsideSubgroup',
  'conv2dStemSubgroup',
  'conv2dTiled',
  'conv2dMatrix',
];

/**
 * [x, w, (bias)] to [y]; with `maps` the channels of x are those of so many images, in order. A second output takes the moments of
 * each tile of y, as many as `momentTiles` says, which batch norm merges.
 */
export const conv2dOp: Op<Geometry & { maps?: number }> = {
  name: 'conv2d',
  lower({ inputs, outputs: [y, moments], attributes }, to) {
    const { maps = 1 } = attributes;
    const [w, bias] = inputs.slice(maps);
    const [x, second] = inputs;
    if (maps === 2 && canJoin(to, { x, second, w, y })) {
      convolve(to, { x, second, w, bias, y }, attributes);
    } else {
      let first = 0;
      for (const x of inputs.slice(0, maps)) {
        const part = filterPart(w, { first, count: x.shape[1] });
        convolve(to, { x, w: part, bias: first === 0 ? bias : undefined, y }, attributes, first > 0);
        first += x.shape[1];
      }
    }
    if (!moments) return;
    if (tilesOf(to.dispatches, maps) !== partsOf(moments, vec4s(y.shape[1]))) {
      throw new Error(
        `${y}: its moments were planned for a form of the convolution that has other tiles; plan it anew`,
      );
    }
    if (partsOfWinograd(to.dispatches) !== undefined) return giveMoments(to.dispatches, moments);
    const dispatch = to.dispatches[to.dispatches.length - 1];
    dispatch.constants = { ...dispatch.constants, MOMENTS: true };
    dispatch.bindings = { ...dispatch.bindings, moments };
  },
  gradient(node, [dy], wanted) {
    const [x, w] = node.inputs;
    const { shape, layout } = w;
    return [
      wanted[0]
        ? recordOne(conv2dInputGradientOp, [dy!, w], { shape: x.shape, dtype: x.dtype }, node.attributes)
        : undefined,
      wanted[1] ? recordOne(conv2dWeightGradientOp, [x, dy!], { shape, layout }, node.attributes) : undefined,
      wanted[2] ? channelSum(dy!) : undefined,
    ];
  },
};

/** The tiles of y whose moments the kernel of a conv2d can give; undefined where it has no such form, or y takes several dispatches. */
export function momentTiles(traits: DeviceTraits, node: Node): number | undefined {
  const to = new Lowering(traits, node.op.name);
  node.op.lower(node, to);
  return tilesOf(to.dispatches, (node.attributes as { maps?: number }).maps);
}

/** One dispatch makes y, or one for each of its maps adds to what the others made, and the last of them has it whole. */
function tilesOf(dispatches: readonly Dispatch[], maps = 1): number | undefined {
  const parts = partsOfWinograd(dispatches);
  if (parts !== undefined) return parts;
  // A filter's copy in f16 is no part of y.
  const makers = dispatches.filter(({ shader }) => shader !== 'filterHalves');
  const { shader, constants, workgroups } = makers[makers.length - 1];
  if (makers.length > (constants?.ADD ? maps : 1) || !WITH_MOMENTS.includes(shader)) return undefined;
  // Rows of tiles are whole; where tiles are counted through, a second row of workgroups may end in some that have none.
  const counted = shader !== 'conv2dSubgroup3x3' && shader !== 'conv2dStemSubgroup';
  return counted && workgroups[1] > 1 ? undefined : workgroups[0] * workgroups[1];
}

/**
 * dx[n,c,iy,ix] = sum over o and the taps that lead from (iy,ix) to an output (oy,ox) of dy[n,o,oy,ox] * w[o,c,ky,kx]; with
 * `firstChannel` the c from that one on, as many as dx has.
 */
export const conv2dInputGradientOp: Op<Geometry & { firstChannel?: number }> = {
  name: 'conv2dInputGradient',
  lower(node, to) {
    const [dy, w] = node.inputs;
    const [dx] = node.outputs;
    const { kernel, stride, padding, firstChannel: first } = node.attributes;
    const part = first === undefined ? undefined : { first, count: dx.shape[1] };
    if (part === undefined && isHead(to.traits, node.attributes, dy)) return headInputGradient(to, { dy, w, dx });
    const strided = stride[0] > 1 || stride[1] > 1;
    // Without a stride it is a convolution with the filter turned by 180 degrees, and so one of forward's kernels.
    const geometry: Geometry = strided
      ? { ...node.attributes, transposed: true }
      : { ...node.attributes, padding: [kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1]] };
    convolve(to, { x: dy, ...transposeFilter(to, w, !strided, part), y: dx }, geometry);
  },
};

/**
 * dw[o,c,ky,kx] = sum over n,oy,ox of dy[n,o,oy,ox] * x[n, c, oy*stride + ky - padding, ox*stride + kx - padding], with the
 * channels of x in one image or, in order, in several: [x, ..., dy] to [dw].
 */
export const conv2dWeightGradientOp: Op<Geometry> = {
  name: 'conv2dWeightGradient',
  lower({ inputs, outputs: [dw], attributes }, to) {
    const dy = inputs[inputs.length - 1];
    let first = 0;
    for (const x of inputs.slice(0, -1)) {
      const count = x.shape[1];
      filterGradient(to, { x, dy, dw: filterPart(dw, { first, count }) }, attributes);
      first += count;
    }
  },
};

/**
 * y[n,o,oy,ox] = bias[o] + sum over c,ky,kx of x[n,c,iy,ix] * weight[o,c,ky,kx], iy = oy*stride + ky - padding (likewise ix),
 * with zeros outside x: PyTorch's `conv2d` without dilation and groups.
 *
 * @param x (N, C, H, W)
 * @param weight (O, C, kh, kw), layout `filter`
 * @param bias (O), layout `vector`
 * @returns (N, O, floor((H + 2 padding - kh) / stride) + 1, the same of W)
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { stride = 1, padding = 0 }: Conv2dOptions = {},
): Tensor {
  if (x.layout !== 'image') throw new Error(`conv2d: the input ${x} has layout ${x.layout}, not image`);
  if (weight.layout !== 'filter')
    throw new Error(`conv2d: the weight ${weight} has layout ${weight.layout}, not filter`);
  const [batch, channels, height, width] = x.shape;
  const [out, expected, kernelHeight, kernelWidth] = weight.shape;
  if (channels !== expected) {
    throw new Error(
      `conv2d: input has ${channels} channels but weight [${weight.shape.join(', ')}] expects ${expected}`,
    );
  }
  if (bias && (bias.layout !== 'vector' || bias.shape[0] !== out)) {
    throw new Error(
      `conv2d: the bias ${bias} (${bias.layout}) should be a vector of ${out}, as the weight ${weight} gives`,
    );
  }
  const strides = pair('conv2d: stride', stride, 1);
  const paddings = pair('conv2d: padding', padding, 0);
  const size = (input: number, kernel: number, axis: 0 | 1): number =>
    Math.floor((input + 2 * paddings[axis] - kernel) / strides[axis]) + 1;
  const [oh, ow] = [size(height, kernelHeight, 0), size(width, kernelWidth, 1)];
  if (oh < 1 || ow < 1) {
    const padded = `${height}x${width} with padding ${paddings.join('x')}`;
    throw new Error(`conv2d: the kernel ${kernelHeight}x${kernelWidth} is larger than the input ${padded}`);
  }
  const inputs = bias ? [x, weight, bias] : [x, weight];
  const geometry = {
    kernel: [kernelHeight, kernelWidth],
    stride: strides,
    padding: paddings,
    transposed: false,
  } as const;
  return recordOne(conv2dOp, inputs, { shape: [batch, out, oh, ow], dtype: x.dtype }, geometry);
}
