import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkImage, checkPair } from './shapes.js';
import { sumTerms } from './sumRows.js';

/** Thresholds first, first + step, ..., `count` of them. */
export interface ThresholdGrid {
  first: number;
  step: number;
  count: number;
}

export const thresholdCountsOp: Op<ThresholdGrid> = {
  name: 'thresholdCounts',
  lower(node, to) {
    const [x, t] = node.inputs;
    const { first: threshold, step, count } = node.attributes;
    const inner = Math.ceil(count / 2);
    sumTerms(to, 'thresholdCounts', { x, t }, { threshold, step }, node.outputs[0], {
      perImage: true,
      inner,
      constants: { PAIRS: inner, COUNT: count },
    });
  },
};

/** More accumulators than this would not stay in registers. */
const MOST = 64;

/**
 * Pixel counts at many thresholds in one pass over the image: for each image and threshold k the pixels that are
 * foreground in both prediction and target (channel 2 k), and in the prediction (channel 2 k + 1), as an image
 * [N, 2 count, 1, 1]; pixels with a negative target are left out. Exact; no gradient.
 * @param x prediction, image [N, 1, H, W]: foreground where it is above the threshold, in its own domain
 * @param t target, same shape: foreground above 0.5
 * @throws Error when the shapes differ, an image has more than 2^24 pixels, or the grid is no grid
 */
export function thresholdCounts(x: Tensor, t: Tensor, grid: ThresholdGrid): Tensor {
  checkPair('thresholdCounts', x, t);
  checkImage('thresholdCounts', x, 1);
  const [n, , h, w] = x.shape;
  if (h * w > 2 ** 24)
    throw new Error(`thresholdCounts: ${x} has ${h * w} pixels an image; at most ${2 ** 24} can be counted`);
  const { first, step, count } = grid;
  if (!(Number.isInteger(count) && count >= 1 && count <= MOST && step > 0 && Number.isFinite(first + step))) {
    throw new Error(
      `thresholdCounts: ${count} thresholds from ${first} by ${step}; 1 to ${MOST} thresholds and a positive step are needed`,
    );
  }
  return recordOne(thresholdCountsOp, [x, t], { shape: [n, 2 * count, 1, 1] }, grid);
}
