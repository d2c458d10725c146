import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkImage, checkPair } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

interface MapAttributes {
  threshold: number;
}

const sizes = ({ shape }: Tensor) => ({ height: shape[2], width: shape[3] });

export const boundaryMapOp: Op<MapAttributes> = {
  name: 'boundaryMap',
  lower(node, to) {
    const [x, t] = node.inputs;
    const kernel = { shader: 'boundaryCounts', entry: 'map', run: 1 };
    overImages(to, kernel, { x, t, boundaries: node.outputs[0] }, { ...sizes(x), ...node.attributes, reach: 0 }, {});
  },
};

interface CountsAttributes {
  /** Pixels in a row or column that a match may lie away; the kernel tests the distance itself. */
  reach: number;
}

export const boundaryCountsOp: Op<CountsAttributes> = {
  name: 'boundaryCounts',
  lower(node, to) {
    const [boundaries] = node.inputs;
    const params = { ...sizes(boundaries), ...node.attributes, threshold: 0 };
    sumTerms(to, 'boundaryCounts', { edges: boundaries }, params, node.outputs[0], { perImage: true });
  },
};

/**
 * What the boundary F-score is made of (`engine/metrics.ts`): for each image the boundary pixels of the prediction, those
 * of them that have a boundary pixel of the target within `distance`, the boundary pixels of the target, and those of
 * them that have one of the prediction within it, as an image [N, 4, 1, 1]. Exact; no gradient.
 *
 * A boundary pixel is a foreground pixel with a background pixel above, below, left or right of it; what lies outside the
 * image is neither. Distances are Euclidean, between pixel centres.
 * @param x prediction, image [N, 1, H, W]: foreground where it is above `threshold`
 * @param t target, same shape: foreground above 0.5
 * @param distance pixels, default 2
 * @throws Error when the shapes differ, or the distance is not within 0 .. 16
 */
export function boundaryCounts(
  x: Tensor,
  t: Tensor,
  { threshold, distance = 2 }: { threshold: number; distance?: number },
): Tensor {
  checkPair('boundaryCounts', x, t);
  checkImage('boundaryCounts', x, 1);
  if (!(Number.isInteger(distance) && distance >= 0 && distance <= 16)) {
    throw new Error(`boundaryCounts: the distance is ${distance}; a whole number of pixels from 0 to 16 is needed`);
  }
  const [n, , h, w] = x.shape;
  const boundaries = recordOne(boundaryMapOp, [x, t], { shape: [n, 2, h, w], name: 'boundaries' }, { threshold });
  return recordOne(boundaryCountsOp, [boundaries], { shape: [n, 4, 1, 1] }, { reach: distance });
}
