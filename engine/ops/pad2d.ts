import { type Op, recordOne, type Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import { overRows, rowsOf } from './rows.js';

/** Columns on the left and right, rows at the top and bottom; negative amounts crop. */
export type Padding2d = readonly [left: number, right: number, top: number, bottom: number];

export const pad2dOp: Op<{ pad: Padding2d }> = {
  name: 'pad2d',
  again: (node) => node,
  lower({ inputs: [x], outputs: [y], attributes }, to) {
    const [, channels, inputHeight, inputWidth] = x.shape;
    const [, , outputHeight, outputWidth] = y.shape;
    const [left, , top] = attributes.pad;
    const quads = vec4s(channels);
    for (const range of to.batches(x, y)) {
      const { THREADS, workgroups } = overRows(to, y, rowsOf(y.shape, range.count));
      to.dispatch({
        shader: 'pad2d',
        constants: { Quad: quadType(x.dtype), THREADS },
        params: { quads, inputHeight, inputWidth, outputHeight, outputWidth, left, top },
        bindings: { x: to.images(x, range), y: to.images(y, range) },
        workgroups,
      });
    }
  },
  // Each number goes back where it came from: what was padded is cropped, and the other way round.
  gradient({ attributes }, [dy]) {
    const [left, right, top, bottom] = attributes.pad;
    return [pad2d(dy!, [-left, -right, -top, -bottom])];
  },
};

/**
 * x [N, C, H, W] with zeros around it, to [N, C, top + H + bottom, left + W + right].
 * @throws Error when an amount is not whole, or nothing is left of x
 */
export function pad2d(x: Tensor, pad: Padding2d): Tensor {
  if (x.layout !== 'image') throw new Error(`pad2d: ${x} has layout ${x.layout}; it takes an image`);
  if (pad.length !== 4 || !pad.every(Number.isInteger)) {
    throw new Error(`pad2d: amounts [${pad.join(', ')}] have to be four whole numbers: left, right, top, bottom`);
  }
  const [left, right, top, bottom] = pad;
  const [n, c, h, w] = x.shape;
  const [height, width] = [h + top + bottom, w + left + right];
  if (height < 1 || width < 1) {
    throw new Error(`pad2d: [${pad.join(', ')}] (left, right, top, bottom) leaves nothing of ${x}`);
  }
  return recordOne(pad2dOp, [x], { shape: [n, c, height, width], dtype: x.dtype }, { pad });
}
