/** Convolutions of f16 images on matrix units: products of f16, added up in f32. */
import type { DeviceTraits, MatrixShape } from '../device.js';
import type { Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';
import type { Geometry, OwnForm } from './convForms.js';
import { splitSum } from './splitSum.js';

/** Subgroups of a workgroup, which share what they load. */
const SUBGROUPS = 4;

/** With fewer channels on either side most of a matrix would be zeros, and the tiled kernels are ahead. */
const LEAST_CHANNELS = 8;

/**
 * Results that a subgroup owns, down and across, in sides of a matrix; the rule takes the first. Its 32 x 32, where matrices are
 * 16 x 16, are onnxruntime's, and each load serves two products; llama.cpp's 4 x 2 and a block of 128 x 128 as in localfold's GEMM load
 * less for a product, and fill fewer subgroups. No graphics card has measured them yet, so they are left to `--tune`.
 */
const SPANS = [
  [2, 2],
  [4, 2],
  [4, 4],
] as const;

/** Forms of the filter's gradient: sides of a subgroup's square, and pixels at a time in K. The rule takes the first; as `SPANS`. */
const SQUARES = [
  { span: 2, deep: 2 },
  { span: 4, deep: 1 },
] as const;

/** Whether a convolution between these images has these kernels. */
export const isMatrix = ({ kernels }: DeviceTraits, x: Tensor, y: Tensor): boolean =>
  kernels === 'matrix' && x.dtype === 'f16' && Math.min(x.shape[1], y.shape[1]) >= LEAST_CHANNELS;

const roundUp = (size: number, step: number): number => Math.ceil(size / step) * step;

/** Matrices that a subgroup owns, down and across. */
function matricesOf({ M, N }: MatrixShape, [down, across]: readonly [number, number]) {
  const side = Math.max(M, N);
  return { TALL: (down * side) / M, WIDE: (across * side) / N };
}

interface Convolved {
  x: Tensor;
  /** In f32; a copy in f16 is made for this call. */
  w: Binding;
  bias?: Tensor;
  y: Tensor;
}

/** What is baked into `conv2dMatrix.wgsl` besides what the call says. */
interface Tile extends MatrixShape {
  TALL: number;
  WIDE: number;
  DOWN: number;
  ACROSS: number;
  DEPTH: number;
}

/**
 * The forms of a convolution on matrix units, the rule's first; none where `isMatrix` says so.
 * @param params of `conv2dMatrix.wgsl` but for those of the batch and the filter's copy
 * @param more adds the convolution to y instead
 */
export function matrixForms(
  to: Lowering,
  images: Convolved,
  geometry: Geometry,
  params: Readonly<Record<string, number>>,
  more: boolean,
): OwnForm[] {
  const { x, y } = images;
  const { matrix: shape } = to.traits;
  if (!shape || !isMatrix(to.traits, x, y)) return [];
  const [channels, outs] = [x, y].map((image) => vec4s(image.shape[1]) * 4);
  const DEPTH = shape.K * (channels > shape.K ? 2 : 1);
  return SPANS.flatMap((span, i): OwnForm[] => {
    const matrices = matricesOf(shape, span);
    const ACROSS = outs > matrices.WIDE * shape.N ? 2 : 1;
    // Four tall subgroups below each other would need 20 KiB of workgroup memory, and WebGPU promises 16.
    if (i > 0 && ACROSS === 1) return [];
    const tile = { ...shape, ...matrices, DOWN: SUBGROUPS / ACROSS, ACROSS, DEPTH };
    return [
      {
        shader: 'conv2dMatrix',
        constants: { ...tile },
        lower: () => dispatchConvolution(to, images, geometry, params, more, tile),
      },
    ];
  });
}

function dispatchConvolution(
  to: Lowering,
  { x, w, bias, y }: Convolved,
  { kernel, stride, transposed }: Geometry,
  params: Readonly<Record<string, number>>,
  more: boolean,
  tile: Tile,
): void {
  const [inputQuads, outs] = [vec4s(x.shape[1]), vec4s(y.shape[1]) * 4];
  const block = tile.WIDE * tile.N * tile.ACROSS;
  const depth = roundUp(inputQuads * 4, tile.DEPTH);
  const columns = roundUp(outs, block);
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
    const tiles = to.flat(pixels, tile.TALL * tile.M * tile.DOWN);
    to.dispatch({
      shader: 'conv2dMatrix',
      constants: { ...tile, LANES: to.traits.subgroupSize, ADD: more, MOMENTS: false },
      params: { ...params, batch: range.count, depth, columns },
      // Where there is no bias any f32 will do.
      bindings: { x: to.images(x, range), w: halves, bias: bias ?? w, y: to.images(y, range) },
      workgroups: [tiles[0], tiles[1], (columns / block) * down * across],
    });
  }
}

/**
 * The forms of the gradient of the filter, the rule's first; none where `isMatrix` says so. dy is that of the convolution's output.
 * @param params of `conv2dWeightGradientMatrix.wgsl` but for those of the batch and the split
 */
export function matrixFilterGradientForms(
  to: Lowering,
  images: { x: Tensor; dy: Tensor; dw: Binding },
  geometry: Geometry,
  params: Readonly<Record<string, number>>,
): OwnForm[] {
  const { matrix: shape } = to.traits;
  if (!shape || !isMatrix(to.traits, images.x, images.dy)) return [];
  return SQUARES.map(({ span, deep }) => {
    const tile = { ...shape, ...matricesOf(shape, [span, span]), SIDE: Math.sqrt(SUBGROUPS), DEPTH: deep * shape.K };
    const lower = () => dispatchFilterGradient(to, images, geometry, params, tile);
    return { shader: 'conv2dWeightGradientMatrix', constants: { ...tile }, lower };
  });
}

function dispatchFilterGradient(
  to: Lowering,
  { x, dy, dw }: { x: Tensor; dy: Tensor; dw: Binding },
  { kernel }: Geometry,
  params: Readonly<Record<string, number>>,
  tile: Omit<Tile, 'DOWN' | 'ACROSS'> & { SIDE: number },
): void {
  const block = tile.TALL * tile.M * tile.SIDE;
  const taps = kernel[0] * kernel[1];
  const [inputQuads, outs] = [vec4s(x.shape[1]), vec4s(dy.shape[1]) * 4];
  const [across, down] = [Math.ceil(outs / block), taps * Math.ceil((inputQuads * 4) / block)];
  const sum = {
    units: (images: number) => images * params.height * params.width,
    workgroups: across * down,
    // With fewer pixels a split its partial filter would weigh more than its sum.
    step: 16 * tile.K,
    bytes: inputQuads * taps * outs * 16,
  };
  splitSum(to, dw, [x, dy], sum, ({ range, perSplit, splits, partial }) =>
    to.dispatch({
      shader: 'conv2dWeightGradientMatrix',
      constants: { ...tile, LANES: to.traits.subgroupSize },
      params: { ...params, batch: range.count, pixelsPerSplit: perSplit },
      bindings: { a: to.images(x, range), b: to.images(dy, range), dw: partial },
      workgroups: [across, down, splits],
    }),
  );
}
