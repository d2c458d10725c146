import { type Op, recordOne, type Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import type { Lowering, Storage } from '../lowering.js';
import { TEXEL_SHIFT } from '../texels.js';
import { hasSubgroups, pixelsOf, widthOf, widthOfFew } from './quadLines.js';
import { stridedSum } from './stridedSum.js';

/** Workgroups side by side along the pixels of a map that takes two passes. */
const GROUPS = 16;

export const channelSumOp: Op = {
  name: 'channelSum',
  lower({ inputs: [x], outputs: [y] }, to) {
    const ranges = to.batches(x);
    const quads = vec4s(x.shape[1]);
    if (hasSubgroups(to.traits) && ranges.length === 1) {
      sumSubgroups(to, x, y);
      return;
    }
    const pixels = pixelsOf(x) / x.shape[0];
    // Lines of about as many pixels as there are lines.
    const count = Math.ceil(Math.sqrt(ranges[0].count * pixels)) * quads;
    const sums = to.scratch('sums of lines', [count * 4], 'vector');
    ranges.forEach((range, i) => {
      stridedSum(to, to.images(x, range), range.count * pixels * quads, sums, count, false, x.dtype);
      stridedSum(to, sums, count, y, quads, i > 0);
    });
  },
};

/**
 * Sums of 4x16x128x128, 4x32x64x64, 4x64x32x32, 4x128x16x16 in a UNet's step, ms with 0.05 a pass for its timestamps: 0.24, 0.20,
 * 0.12, 0.09; from buffers 0.34, 0.26, 0.14, 0.10; by `stridedSum` 0.40, 0.27, 0.21, 0.19 (llvmpipe, Mesa 25.0.7, 8 lanes, two threads of
 * a 2.6 GHz Zen 4).
 */
function sumSubgroups(to: Lowering, x: Tensor, y: Tensor): void {
  const quads = vec4s(x.shape[1]);
  const LANES = to.traits.subgroupSize;
  const pass = (from: Storage, pixels: number, width: number, groups: number, target: Storage) => {
    // The gradients of the convolution, which come before, have copied x already; those of a net's head, one quad, have not.
    const texels = from === x && quads > 1 && to.texels(from);
    to.dispatch({
      shader: 'channelSumSubgroup',
      constants: { LANES, Quad: quadType(from.dtype), TEXELS: texels ? TEXEL_SHIFT : 0 },
      params: { pixels, quads, width, span: Math.ceil(pixels / groups) },
      bindings: { x: from, y: target },
      texels: texels ? ['x'] : [],
      workgroups: [groups, quads / width, 1],
    });
  };
  const pixels = pixelsOf(x);
  const few = widthOfFew(to, x);
  if (few !== undefined) {
    pass(x, pixels, few, 1, y);
    return;
  }
  const width = widthOf(quads, LANES);
  const sums = to.scratch('sums of parts', [GROUPS * quads * 4], 'vector');
  pass(x, pixels, width, GROUPS, sums);
  pass(sums, GROUPS, width, 1, y);
}

/** y[c] = sum of x over images and pixels, a vector: the gradient of a bias. */
export const channelSum = (x: Tensor): Tensor =>
  recordOne(channelSumOp, [x], { shape: [x.shape[1]], layout: 'vector' }, {});
