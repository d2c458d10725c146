import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkImage, checkPair } from './shapes.js';
import { sumTerms } from './sumRows.js';

interface Attributes {
  threshold: number;
}

export const segmentationCountsOp: Op<Attributes> = {
  name: 'segmentationCounts',
  lower(node, to) {
    const [x, t] = node.inputs;
    sumTerms(to, 'segmentationCounts', { x, t }, { ...node.attributes }, node.outputs[0], { perImage: true });
  },
};

/**
 * What metrics are made of (`engine/metrics.ts`): for each image the number of pixels that are foreground in both
 * prediction and target, in the prediction, in the target, and of all pixels, as an image [N, 4, 1, 1]; pixels with a
 * negative target are in none of these. Exact; no gradient.
 * @param x prediction, image [N, 1, H, W]: foreground where it is above `threshold`, in its own domain (a logit's 0 is
 * a probability's 0.5)
 * @param t target, same shape: foreground above 0.5
 * @throws Error when the shapes differ, or an image has more pixels than float32 can count (2^24)
 */
export function segmentationCounts(x: Tensor, t: Tensor, { threshold }: Attributes): Tensor {
  checkPair('segmentationCounts', x, t);
  checkImage('segmentationCounts', x, 1);
  const [n, , h, w] = x.shape;
  if (h * w > 2 ** 24)
    throw new Error(`segmentationCounts: ${x} has ${h * w} pixels an image; at most ${2 ** 24} can be counted`);
  return recordOne(segmentationCountsOp, [x, t], { shape: [n, 4, 1, 1] }, { threshold });
}
