import { type Op, recordOne, type Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';
import { downRows, overRows } from './rows.js';

export interface MaxPool2dOptions {
  /** Height and width of a window. */
  kernel: number;
  stride: number;
  /** Pixels of minus infinity around x. */
  padding: number;
}

/** Taps are kept in 8 bits. */
const MOST_TAPS = 256;

/** What both kernels take. */
function parts(x: Tensor, y: Tensor, { kernel, stride, padding }: MaxPool2dOptions) {
  const constants = { KERNEL: kernel, STRIDE: stride, PADDING: padding, Quad: quadType(x.dtype) };
  const params = {
    quads: vec4s(x.shape[1]),
    inputHeight: x.shape[2],
    inputWidth: x.shape[3],
    outputHeight: y.shape[2],
    outputWidth: y.shape[3],
  };
  return { constants, params };
}

/** Whether threads walk down the rows. */
const isWalked = ({ traits }: Lowering, { kernel, stride }: MaxPool2dOptions): boolean => traits.cpu && kernel > stride;

/** A dispatch over rows of `columns` for a range of the batch. */
function dispatch(
  to: Lowering,
  entry: 'forward' | 'gradient',
  [x, y]: readonly [Tensor, Tensor],
  attributes: MaxPool2dOptions,
  { rows, columns, images }: { rows: number; columns: number; images: number },
  bindings: Record<string, Binding>,
): void {
  const { constants, params } = parts(x, y, attributes);
  const over = { rows, columns, images, quads: params.quads };
  const what = entry === 'forward' ? y : x;
  if (!isWalked(to, attributes)) {
    const { THREADS, workgroups } = overRows(to, what, over);
    const baked = { ...constants, THREADS };
    to.dispatch({ shader: 'maxPool2d', entry, constants: baked, params: { ...params, columns }, bindings, workgroups });
    return;
  }
  const { THREADS, run, workgroups } = downRows(to, what, over);
  to.dispatch({
    shader: 'maxPool2dRows',
    entry,
    constants: { ...constants, THREADS, WINDOWS: Math.ceil(attributes.kernel / attributes.stride) },
    params: { ...params, run, rows, columns },
    bindings,
    workgroups,
  });
}

/** [x] to [y, taps]. */
export const maxPool2dOp: Op<MaxPool2dOptions> = {
  name: 'maxPool2d',
  lower({ inputs: [x], outputs: [y, taps], attributes }, to) {
    const [, , rows, columns] = y.shape;
    for (const range of to.batches(x, y, taps)) {
      const bindings = { x: to.images(x, range), y: to.images(y, range), taps: to.images(taps, range) };
      dispatch(to, 'forward', [x, y], attributes, { rows, columns, images: range.count }, bindings);
    }
  },
  // dx = sum of dy over the windows that x is the first maximum of
  gradient: ({ inputs: [x], outputs: [, taps], attributes }, [dy]) => [
    recordOne(maxPool2dGradientOp, [taps, dy!], { shape: x.shape, dtype: x.dtype }, attributes),
  ],
};

/** [taps, dy] to [dx]. */
export const maxPool2dGradientOp: Op<MaxPool2dOptions> = {
  name: 'maxPool2dGradient',
  lower({ inputs: [taps, dy], outputs: [dx], attributes }, to) {
    const { stride, padding } = attributes;
    const [, , height, width] = dx.shape;
    const [rows, columns] = [height, width].map((size) => Math.ceil((size + padding) / stride));
    for (const range of to.batches(dx, dy, taps)) {
      const bindings = { taps_saved: to.images(taps, range), dy: to.images(dy, range), dx: to.images(dx, range) };
      dispatch(to, 'gradient', [dx, dy], attributes, { rows, columns, images: range.count }, bindings);
    }
  },
};

/**
 * The largest value of each window of x [N, C, H, W], to [N, C, floor((H + 2 padding - kernel) / stride) + 1, ...]. Of equal
 * values the first in row-major order takes the gradient.
 * @throws Error when an option is out of range or the window does not fit
 */
export function maxPool2d(x: Tensor, { kernel, stride, padding }: MaxPool2dOptions): Tensor {
  if (x.layout !== 'image') throw new Error(`maxPool2d: ${x} has layout ${x.layout}; it takes an image`);
  const whole = [kernel, stride, padding].every(Number.isInteger);
  if (!whole || kernel < 1 || stride < 1 || padding < 0) {
    const given = `kernel ${kernel}, stride ${stride}, padding ${padding}`;
    throw new Error(`maxPool2d: ${given}; they are whole numbers, kernel and stride 1 or more`);
  }
  if (kernel * kernel > MOST_TAPS)
    throw new Error(`maxPool2d: kernel ${kernel} is larger than ${Math.sqrt(MOST_TAPS)}`);
  if (padding > kernel / 2) throw new Error(`maxPool2d: padding ${padding} is more than half of kernel ${kernel}`);
  const [n, c, h, w] = x.shape;
  const [height, width] = [h, w].map((size) => Math.floor((size + 2 * padding - kernel) / stride) + 1);
  if (height < 1 || width < 1) throw new Error(`maxPool2d: kernel ${kernel} with padding ${padding} does not fit ${x}`);
  const [y] = x.graph.record(
    maxPool2dOp,
    [x],
    [
      { shape: [n, c, height, width], dtype: x.dtype },
      { shape: [n, height, width, vec4s(c)], layout: 'words', name: 'maxPool2d.taps' },
    ],
    { kernel, stride, padding },
  );
  return y;
}
