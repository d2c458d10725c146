/** Convolutions of f16 images on matrix units: products of f16, added up in f32. */
import type { DeviceTraits, MatrixShape } from '../device.js';
import type { Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';
import type { Geometry } from './convForms.js';
import { splitSum } from './splitSum.js';

/** Subgroups of a workgroup, which share what they load. */
const SUBGROUPS = 4;

/** With fewer channels on either side most of a matrix would be zeros, and the tiled kernels are ahead. */
const LEAST_CHANNELS = 8;

/** Whether a convolution between these images has these kernels. */
export const isMatrix = ({ kernels }: DeviceTraits, x: Tensor, y: Tensor): boolean =>
  kernels === 'matrix' && x.dtype === 'f16' && Math.min(x.shape[1], y.shape[1]) >= LEAST_CHANNELS;

/** Rows and columns of results that a subgroup owns: 32 with matrices of 16x16, so that each load serves two products. */
const spanOf = ({ M, N }: MatrixShape): number => 2 * Math.max(M, N);

const roundUp = (size: number, step: number): number => Math.ceil(size / step) * step;

/** @throws Error unless the adapter has matrix units, which `isMatrix` says */
function unitsOf({ matrix }: DeviceTraits): MatrixShape {
  if (!matrix) throw new Error('matrix kernels on an adapter without matrix units');
  return matrix;
}

/**
 * y = bias + convolution of x with w.
 * @param w in f32; a copy in f16 is made for this call
 * @param params of `conv2dMatrix.wgsl` but for those of the batch and the filter's copy
 * @param more adds the convolution to y instead
 */
export function convolveMatrix(
  to: Lowering,
  { x, w, bias, y }: { x: Tensor; w: Binding; bias?: Tensor; y: Tensor },
  { kernel, stride, transposed }: Geometry,
  params: Readonly<Record<string, number>>,
  more: boolean,
): void {
  const shape = unitsOf(to.traits);
  const span = spanOf(shape);
  const [inputQuads, outs] = [vec4s(x.shape[1]), vec4s(y.shape[1]) * 4];
  const DEPTH = shape.K * (inputQuads * 4 > shape.K ? 2 : 1);
  const ACROSS = outs > span ? 2 : 1;
  const DOWN = SUBGROUPS / ACROSS;
  const depth = roundUp(inputQuads * 4, DEPTH);
  const columns = roundUp(outs, span * ACROSS);
  const taps = kernel[0] * kernel[1];
  const halves = to.scratch('f16 filter', [taps * depth * columns], 'vector', 'f16');
  to.dispatch({
    shader: 'filterHalves',
    params: { inputQuads, outs, taps, depth, columns },
    bindings: { w, y: halves },
    workgroups: to.flat((taps * depth * columns) / 4),
  });
  const [, , height, width] = y.shape;
  const [down, across] = transposed ? stride : [1, 1];
  for (const range of to.batches(x, y)) {
    const pixels = range.count * Math.ceil(height / down) * Math.ceil(width / across);
    const tiles = to.flat(pixels, span * DOWN);
    to.dispatch({
      shader: 'conv2dMatrix',
      constants: {
        ...shape,
        LANES: to.traits.subgroupSize,
        SPAN: span,
        DOWN,
        ACROSS,
        DEPTH,
        ADD: more,
        MOMENTS: false,
      },
      params: { ...params, batch: range.count, depth, columns },
      // Where there is no bias any f32 will do.
      bindings: { x: to.images(x, range), w: halves, bias: bias ?? w, y: to.images(y, range) },
      workgroups: [tiles[0], tiles[1], (columns / (span * ACROSS)) * down * across],
    });
  }
}

/**
 * The gradient of the filter; dy is that of the convolution's output.
 * @param params of `conv2dWeightGradientMatrix.wgsl` but for those of the batch and the split
 */
export function matrixFilterGradient(
  to: Lowering,
  { x, dy, dw }: { x: Tensor; dy: Tensor; dw: Binding },
  { kernel }: Geometry,
  params: Readonly<Record<string, number>>,
): void {
  const shape = unitsOf(to.traits);
  const SPAN = spanOf(shape);
  const SIDE = Math.sqrt(SUBGROUPS);
  const DEPTH = 2 * shape.K;
  const taps = kernel[0] * kernel[1];
  const [inputQuads, outs] = [vec4s(x.shape[1]), vec4s(dy.shape[1]) * 4];
  const [across, down] = [Math.ceil(outs / (SPAN * SIDE)), taps * Math.ceil((inputQuads * 4) / (SPAN * SIDE))];
  const sum = {
    units: (images: number) => images * params.height * params.width,
    workgroups: across * down,
    // With fewer pixels a split its partial filter would weigh more than its sum.
    step: 8 * DEPTH,
    bytes: inputQuads * taps * outs * 16,
  };
  splitSum(to, dw, [x, dy], sum, ({ range, perSplit, splits, partial }) =>
    to.dispatch({
      shader: 'conv2dWeightGradientMatrix',
      constants: { ...shape, LANES: to.traits.subgroupSize, SPAN, SIDE, DEPTH },
      params: { ...params, batch: range.count, pixelsPerSplit: perSplit },
      bindings: { a: to.images(x, range), b: to.images(dy, range), dw: partial },
      workgroups: [across, down, splits],
    }),
  );
}
