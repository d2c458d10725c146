/** Convolutions of four channels at most, on CPU adapters: the first layer of a net, and the gradient of its filter. */
import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import type { Binding, Lowering, Storage } from '../lowering.js';
import { TEXEL_SHIFT } from '../texels.js';
import { type Geometry, storedAs, widthFor } from './convForms.js';
import { splitSum } from './splitSum.js';

const TILE_ROWS = 4;
const TILE_COLUMNS = 8;
/** Sums that a lane of the filter's gradient keeps at most; with more, rows of taps are shared out to several workgroups. */
const MOST_SUMS = 96;
/** Wider rows of taps would take too long to compile. */
const WIDEST = 7;

/** Whether the convolution has these kernels. */
export function isStem(traits: DeviceTraits, { kernel, transposed }: Geometry, x: Tensor): boolean {
  return traits.fewChannels && traits.kernels === 'subgroup' && !transposed && x.shape[1] <= 4 && kernel[1] <= WIDEST;
}

interface Operands {
  x: Tensor;
  y: Tensor;
}

/** What both kernels take, and the blocks of channels that lanes share. */
function layOut(traits: DeviceTraits, { x, y }: Operands, { kernel, stride, padding }: Geometry) {
  const lanes = traits.subgroupSize;
  const channels = vec4s(y.shape[1]) * 4;
  const vector = widthFor(channels, lanes);
  const constants = {
    LANES: lanes,
    COLUMNS: TILE_COLUMNS,
    KERNEL_WIDTH: kernel[1],
    STRIDE: stride[1],
    SPAN: stride[1] * (TILE_COLUMNS - 1) + kernel[1],
    INPUTS: x.shape[1],
    VECTORS: vector,
    ...storedAs(x, vector),
  };
  const params = {
    inputHeight: x.shape[2],
    inputWidth: x.shape[3],
    outputHeight: y.shape[2],
    outputWidth: y.shape[3],
    outputQuads: channels / 4,
    kernelHeight: kernel[0],
    strideY: stride[0],
    padTop: padding[0],
    padLeft: padding[1],
  };
  return { constants, params, blocks: Math.ceil(channels / (vector * lanes)) };
}

/** y = bias + convolution of x with w. */
export function convolveStem(
  to: Lowering,
  { x, w, bias, y }: { x: Tensor; w: Storage; bias?: Tensor; y: Tensor },
  geometry: Geometry,
): void {
  const { constants, params, blocks } = layOut(to.traits, { x, y }, geometry);
  for (const range of to.batches(x, y)) {
    const down = range.count * Math.ceil(params.outputHeight / TILE_ROWS);
    const part = to.images(x, range);
    const texels = to.texels(part, w);
    to.dispatch({
      shader: 'conv2dStemSubgroup',
      constants: { ...constants, ROWS: TILE_ROWS, MOMENTS: false, TEXELS: texels ? TEXEL_SHIFT : 0 },
      params: { ...params, batch: range.count, hasBias: Number(bias !== undefined) },
      bindings: { x: part, w, bias: bias ?? w, y: to.images(y, range) },
      texels: texels ? ['x', 'w'] : [],
      workgroups: [Math.ceil(params.outputWidth / TILE_COLUMNS), down, blocks],
    });
  }
}

/** The gradient of the filter; dy is that of the convolution's output. */
export function stemFilterGradient(
  to: Lowering,
  { x, dy, dw }: { x: Tensor; dy: Tensor; dw: Binding },
  geometry: Geometry,
): void {
  const { constants, params, blocks } = layOut(to.traits, { x, y: dy }, geometry);
  const [height, width] = geometry.kernel;
  const most = Math.max(1, Math.floor(MOST_SUMS / (width * constants.INPUTS * constants.VECTORS)));
  const down = Math.ceil(height / most);
  const units = (images: number) => images * params.outputHeight * Math.ceil(params.outputWidth / TILE_COLUMNS);
  const bytes = height * width * params.outputQuads * 4 * 16;
  const sum = { units, workgroups: blocks * down, step: 8, bytes };
  splitSum(to, dw, [x, dy], sum, ({ range, perSplit, splits, partial }) => {
    const bindings = { x: to.images(x, range), dy: to.images(dy, range) };
    const texels = to.texels(bindings.x, bindings.dy);
    to.dispatch({
      shader: 'conv2dStemWeightGradientSubgroup',
      constants: { ...constants, TAP_ROWS: Math.ceil(height / down), TEXELS: texels ? TEXEL_SHIFT : 0 },
      params: { ...params, units: units(range.count), unitsPerSplit: perSplit },
      bindings: { ...bindings, dw: partial },
      texels: texels ? ['x', 'dy'] : [],
      workgroups: [blocks, down, splits],
    });
  });
}
