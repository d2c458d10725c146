/** Convolution 1x1, stride 1, to four channels at most: the last layer of a segmentation net, and its gradients. */
import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import type { Binding, ImageRange, Lowering, Storage } from '../lowering.js';
import type { Geometry } from './convForms.js';
import { stridedSum } from './stridedSum.js';

const SHADER = 'conv2dHead';
/** Pixels of an invocation. */
const RUN = 8;

/** Whether the convolution has these kernels. @param y its output, or the gradient of that */
export function isHead(traits: DeviceTraits, { kernel, stride, padding }: Geometry, y: Tensor): boolean {
  const both = (axes: readonly number[], size: number): boolean => axes.every((v) => v === size);
  return (
    traits.fewChannels &&
    traits.kernels !== 'plain' &&
    y.shape[1] <= 4 &&
    both(kernel, 1) &&
    both(stride, 1) &&
    both(padding, 0)
  );
}

const pixelsOf = ({ shape: [, , height, width] }: Tensor, { count }: ImageRange): number => count * height * width;

/** y = bias + convolution of x with w. */
export function convolveHead(
  to: Lowering,
  { x, w, bias, y }: { x: Tensor; w: Storage; bias?: Tensor; y: Tensor },
): void {
  for (const range of to.batches(x, y)) {
    const pixels = pixelsOf(x, range);
    const lines = Math.ceil(pixels / RUN);
    to.dispatch({
      shader: SHADER,
      entry: 'forward',
      constants: { OUTPUTS: y.shape[1], RUN, Quad: quadType(x.dtype) },
      params: { pixels, quads: vec4s(x.shape[1]), lines, hasBias: Number(bias !== undefined) },
      bindings: { x: to.images(x, range), w, bias: bias ?? w, y: to.images(y, range) },
      workgroups: to.flat(lines),
    });
  }
}

/** dx from dy. @param w the filter as forward takes it */
export function headInputGradient(to: Lowering, { dy, w, dx }: { dy: Tensor; w: Storage; dx: Tensor }): void {
  for (const range of to.batches(dy, dx)) {
    const pixels = pixelsOf(dx, range);
    const lines = Math.ceil(pixels / RUN);
    to.dispatch({
      shader: SHADER,
      entry: 'inputGradient',
      constants: { OUTPUTS: dy.shape[1], RUN, Quad: quadType(dy.dtype) },
      params: { pixels, quads: vec4s(dx.shape[1]), lines, hasBias: 0 },
      bindings: { dy: to.images(dy, range), w, dx: to.images(dx, range) },
      workgroups: to.flat(lines),
    });
  }
}

/** dw from x and dy, in two levels: sums of lines of pixels, then of the lines. */
export function headFilterGradient(to: Lowering, { x, dy, dw }: { x: Tensor; dy: Tensor; dw: Binding }): void {
  const quads = vec4s(x.shape[1]);
  const ranges = to.batches(x, dy);
  // Lines of about as many pixels as there are lines.
  const lines = Math.ceil(Math.sqrt(pixelsOf(x, ranges[0])));
  const partials = to.scratch('sums of lines', [lines * quads * 4 * 4], 'vector');
  ranges.forEach((range, i) => {
    to.dispatch({
      shader: SHADER,
      entry: 'weightGradient',
      constants: { OUTPUTS: dy.shape[1], RUN, Quad: quadType(dy.dtype) },
      params: { pixels: pixelsOf(x, range), quads, lines, hasBias: 0 },
      bindings: { x: to.images(x, range), dy: to.images(dy, range), partials },
      workgroups: to.flat(lines * quads),
    });
    stridedSum(to, partials, lines * quads * 4, dw, quads * 4, i > 0);
  });
}
