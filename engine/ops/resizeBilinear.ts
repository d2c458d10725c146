import { type Op, recordOne, type Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import type { Lowering } from '../lowering.js';
import { TEXEL_SHIFT } from '../texels.js';
import { downRows, rowsOf } from './rows.js';

interface Attributes {
  alignCorners: boolean;
}

/** Output o lies at max(o * step + shift, 0) / unit in the input. */
function axis(input: number, output: number, alignCorners: boolean): { step: number; shift: number; unit: number } {
  // o * (input - 1) / (output - 1): the corner pixels' centres stay where they are. One output pixel lies on the first.
  if (alignCorners)
    return output === 1 ? { step: 0, shift: 0, unit: 1 } : { step: input - 1, shift: 0, unit: output - 1 };
  // (o + 1/2) * input / output - 1/2: the corners of the corner pixels stay where they are.
  return { step: 2 * input, shift: input - output, unit: 2 * output };
}

function params(x: Tensor, y: Tensor, { alignCorners }: Attributes) {
  const [, channels, inputHeight, inputWidth] = x.shape;
  const [, , outputHeight, outputWidth] = y.shape;
  const rows = axis(inputHeight, outputHeight, alignCorners);
  const columns = axis(inputWidth, outputWidth, alignCorners);
  return {
    quads: vec4s(channels),
    inputHeight,
    inputWidth,
    outputHeight,
    outputWidth,
    stepY: rows.step,
    shiftY: rows.shift,
    unitY: rows.unit,
    stepX: columns.step,
    shiftX: columns.shift,
    unitX: columns.unit,
  };
}

const isEnlarged = ({ traits }: Lowering, x: Tensor, y: Tensor): boolean =>
  traits.cpu && [2, 3].every((axis) => y.shape[axis] >= x.shape[axis]);

/** Columns of y that read one of x, if a kernel may have the code for each. */
const MOST_READERS = 8;

/** How many columns of y read one of x at most: those placed less than one column of x from it. */
function readersOf({ stepX, unitX }: { stepX: number; unitX: number }): number {
  const readers = stepX > 0 ? Math.ceil((2 * unitX) / stepX) : Infinity;
  return readers <= MOST_READERS ? readers : 0;
}

export const resizeBilinearOp: Op<Attributes> = {
  name: 'resizeBilinear',
  again: (node) => node,
  lower({ inputs: [x], outputs: [y], attributes }, to) {
    // On a processor a thread has all of y between two columns of x, and loads these once.
    const enlarges = isEnlarged(to, x, y);
    const over = enlarges ? x : y;
    for (const range of to.batches(x, y)) {
      const { THREADS, run, workgroups } = downRows(to, y, rowsOf(over.shape, range.count));
      const given = to.images(x, range);
      const texels = to.texels(given);
      to.dispatch({
        shader: 'resizeBilinear',
        entry: enlarges ? 'enlarge' : 'forward',
        constants: { Quad: quadType(x.dtype), THREADS, TEXELS: texels ? TEXEL_SHIFT : 0, READERS: 0 },
        params: { ...params(x, y, attributes), run },
        bindings: { x: given, y: to.images(y, range) },
        texels: texels ? ['x'] : [],
        workgroups,
      });
    }
  },
  // y is linear in x: dx sums dy with the weights with which y read x
  gradient: ({ inputs: [x], attributes }, [dy]) => [
    recordOne(resizeBilinearGradientOp, [dy!], { shape: x.shape, dtype: x.dtype }, attributes),
  ],
};

/** [dy] to [dx]. */
export const resizeBilinearGradientOp: Op<Attributes> = {
  name: 'resizeBilinearGradient',
  lower({ inputs: [dy], outputs: [dx], attributes }, to) {
    const sizes = params(dx, dy, attributes);
    const readers = isEnlarged(to, dx, dy) ? readersOf(sizes) : 0;
    for (const range of to.batches(dx, dy)) {
      const { THREADS, run, workgroups } = downRows(to, dx, rowsOf(dx.shape, range.count));
      const given = to.images(dy, range);
      const texels = to.texels(given);
      to.dispatch({
        shader: 'resizeBilinear',
        entry: readers > 0 ? 'enlargeGradient' : 'gradient',
        constants: { Quad: quadType(dx.dtype), THREADS, TEXELS: texels ? TEXEL_SHIFT : 0, READERS: readers },
        params: { ...sizes, run },
        bindings: { dy: given, dx: to.images(dx, range) },
        texels: texels ? ['dy'] : [],
        workgroups,
      });
    }
  },
};

/**
 * x [N, C, H, W] scaled to [N, C, height, width] by bilinear interpolation, without antialiasing when it shrinks.
 * @param alignCorners true: the centres of the corner pixels stay; false: the outer edges stay, and the border is continued
 * @throws Error when a size is not a positive whole number, or input times output is past the reach of 32 bits
 */
export function resizeBilinear(
  x: Tensor,
  size: readonly [height: number, width: number],
  { alignCorners }: { alignCorners: boolean },
): Tensor {
  if (x.layout !== 'image') throw new Error(`resizeBilinear: ${x} has layout ${x.layout}; it takes an image`);
  if (size.length !== 2 || !size.every((side) => Number.isInteger(side) && side > 0)) {
    throw new Error(`resizeBilinear: size [${size.join(', ')}] has to be two positive whole numbers: height, width`);
  }
  const [n, c, h, w] = x.shape;
  [h, w].forEach((side, i) => {
    // The largest product of the kernels is (input + 1) * 2 * output.
    if ((side + 1) * 2 * size[i] >= 2 ** 31)
      throw new Error(`resizeBilinear: ${x} to [${size.join(', ')}] is too large`);
  });
  return recordOne(resizeBilinearOp, [x], { shape: [n, c, ...size], dtype: x.dtype }, { alignCorners });
}
