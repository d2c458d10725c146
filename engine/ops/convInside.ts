/**
 * Convolutions without padding in which no two taps meet at a pixel, on CPU adapters: those whose kernel is no larger than
 * their stride (1x1 among them), and the transposed ones whose kernel is their stride, which give each input pixel a
 * patch of the output of its own. No tap falls outside the input, and there is no other tap to share a load with.
 */
import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import type { Binding, Lowering, Storage } from '../lowering.js';
import { TEXEL_SHIFT } from '../texels.js';
import { type Geometry, storedAs, widthFor } from './convForms.js';
import { splitSum } from './splitSum.js';

/** Pixels of a workgroup: with 16 lanes one each, as two of them would be more sums than the processor has registers for. */
const pixelsFor = (lanes: number): number => (lanes > 8 ? lanes : 32);

/**
 * Rows, of four input channels each, of a workgroup of the filter's gradient: they share the loads of dy. Eight of them, where none would
 * be idle, are 1.15 times as fast as four (2x2, 64->32 32x32 N=4: 45 and 38 GFLOP/s, six 40; llvmpipe, 8 lanes, two cores of a 2.6 GHz
 * Zen 4); at 16 lanes they take twice as long to compile.
 */
const rowsFor = (rows: number, lanes: number): 4 | 8 => (rows % 8 === 0 && lanes === 8 ? 8 : 4);

/** Whether the convolution has these kernels. @param y its output, or the gradient of that */
export function isInside(traits: DeviceTraits, geometry: Geometry, x: Tensor, y: Tensor): boolean {
  const { kernel, stride, padding, transposed } = geometry;
  if (!traits.fewChannels || traits.kernels !== 'subgroup' || padding[0] !== 0 || padding[1] !== 0) return false;
  const axes = [0, 1];
  if (!transposed) return axes.every((i) => kernel[i] <= stride[i]);
  return axes.every((i) => kernel[i] === stride[i] && y.shape[2 + i] === x.shape[2 + i] * stride[i]);
}

interface Operands {
  x: Tensor;
  y: Tensor;
}

/** The fields of Params that both kernels have, for that many images; and the lanes' share of a block of slots. */
function layOut(traits: DeviceTraits, { x, y }: Operands, { kernel, stride, transposed }: Geometry) {
  const slots = vec4s(y.shape[1]) * 4 * (transposed ? kernel[0] * kernel[1] : 1);
  const width = widthFor(slots, traits.subgroupSize);
  const [, , rows, columns] = transposed ? x.shape : y.shape;
  const [inStep, outStep] = transposed ? [[1, 1], stride] : [stride, [1, 1]];
  const params = (images: number) => ({
    pixels: images * rows * columns,
    rows,
    columns,
    inputHeight: x.shape[2],
    inputWidth: x.shape[3],
    inputQuads: vec4s(x.shape[1]),
    inStepY: inStep[0],
    inStepX: inStep[1],
    kernelHeight: transposed ? 1 : kernel[0],
    kernelWidth: transposed ? 1 : kernel[1],
    outputWidth: y.shape[3],
    outputQuads: vec4s(y.shape[1]),
    outStepY: outStep[0],
    outStepX: outStep[1],
    slots,
  });
  return { params, width, blocks: Math.ceil(slots / (width * traits.subgroupSize)) };
}

/** y = bias + convolution of x with w. */
export function convolveInside(
  to: Lowering,
  { x, w, bias, y }: { x: Tensor; w: Storage; bias?: Tensor; y: Tensor },
  geometry: Geometry,
): void {
  const lanes = to.traits.subgroupSize;
  const { params, width, blocks } = layOut(to.traits, { x, y }, geometry);
  const pixels = pixelsFor(lanes);
  for (const range of to.batches(x, y)) {
    const given = params(range.count);
    const tiles = to.flat(given.pixels, pixels);
    const part = to.images(x, range);
    const texels = to.texels(part, w);
    to.dispatch({
      shader: 'conv2dInsideSubgroup',
      constants: {
        LANES: lanes,
        PIXELS: pixels,
        VECTORS: width,
        MOMENTS: false,
        TEXELS: texels ? TEXEL_SHIFT : 0,
        ...storedAs(x, width),
      },
      params: { ...given, hasBias: Number(bias !== undefined) },
      bindings: { x: part, w, bias: bias ?? w, y: to.images(y, range) },
      texels: texels ? ['x', 'w'] : [],
      workgroups: [tiles[0], tiles[1], blocks],
    });
  }
}

/** The gradient of the filter; dy is that of the convolution's output. */
export function insideFilterGradient(
  to: Lowering,
  { x, dy, dw }: { x: Tensor; dy: Tensor; dw: Binding },
  geometry: Geometry,
): void {
  const lanes = to.traits.subgroupSize;
  const { params, width, blocks } = layOut(to.traits, { x, y: dy }, geometry);
  const { inputQuads, kernelHeight, kernelWidth, slots } = params(1);
  const rows = inputQuads * kernelHeight * kernelWidth;
  const ROWS = rowsFor(rows, lanes);
  const down = Math.ceil(rows / ROWS);
  // With fewer pixels a split its partial filter would weigh more than its sum.
  const sum = {
    units: (images: number) => params(images).pixels,
    workgroups: blocks * down,
    step: 64,
    bytes: rows * slots * 16,
  };
  splitSum(to, dw, [x, dy], sum, ({ range, perSplit, splits, partial }) => {
    const bindings = { x: to.images(x, range), dy: to.images(dy, range) };
    const texels = to.texels(bindings.x, bindings.dy);
    to.dispatch({
      shader: 'conv2dInsideWeightGradientSubgroup',
      constants: { LANES: lanes, ROWS, VECTORS: width, TEXELS: texels ? TEXEL_SHIFT : 0, ...storedAs(x, width) },
      params: { ...params(range.count), pixelsPerSplit: perSplit },
      bindings: { ...bindings, dw: partial },
      texels: texels ? ['x', 'dy'] : [],
      workgroups: [blocks, down, splits],
    });
  });
}
