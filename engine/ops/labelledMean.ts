import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkImage } from './shapes.js';
import { sumTerms } from './sumRows.js';

export const labelledMeanOp: Op = {
  name: 'labelledMean',
  lower(node, to) {
    const [x, t] = node.inputs;
    const [images, , height, width] = t.shape;
    const pixels = images * height * width;
    const labelled = to.scratch('labelled', [4], 'vector');
    sumTerms(to, 'labelledMean', { t }, { pixels }, labelled);
    to.dispatch({
      shader: 'labelledMean',
      constants: { THREADS: 1 },
      params: { first: 0, length: height * width, span: 0, pixels },
      bindings: { x, labelled, y: node.outputs[0] },
      workgroups: [1, 1, 1],
    });
  },
  // dx = dy * pixels / labelled pixels
  gradient: (node, [dy]) => [labelledMean(dy!, node.inputs[1]), undefined],
};

/**
 * From a mean over all pixels, to which those with a negative target have added zeros, to the mean over the others: x *
 * pixels / labelled pixels, a vector [1]; 0 where no pixel is labelled. The target takes no gradient.
 * @param x the mean, vector [1]
 * @param t target, image [N, 1, H, W], negative where it is not known
 * @throws Error when the shapes do not fit
 */
export function labelledMean(x: Tensor, t: Tensor): Tensor {
  checkImage('labelledMean', t, 1);
  if (x.layout !== 'vector' || x.shape.join() !== '1') {
    throw new Error(`labelledMean: ${x} (${x.layout}) is no mean; a vector [1] is needed`);
  }
  return recordOne(labelledMeanOp, [x, t], { shape: [1], layout: 'vector' }, {});
}
