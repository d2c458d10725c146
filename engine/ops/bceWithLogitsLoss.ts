import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementCount } from '../layout.js';
import { checkPair } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

const paramsOf = (z: Tensor) => ({ channels: z.shape[1], scale: 1 / elementCount(z.shape) });

export const bceWithLogitsLossOp: Op = {
  name: 'bceWithLogitsLoss',
  lower(node, to) {
    const [z, t] = node.inputs;
    sumTerms(to, 'bceWithLogitsLoss', { z, t }, paramsOf(z), node.outputs[0], { across: true });
  },
  // dz = dLoss * (sigmoid(z) - t) / count
  gradient: (node, [dLoss]) => {
    const [z, t] = node.inputs;
    return [recordOne(bceWithLogitsLossGradientOp, [z, t, dLoss!], { shape: z.shape }, {}), undefined];
  },
};

export const bceWithLogitsLossGradientOp: Op = {
  name: 'bceWithLogitsLossGradient',
  lower(node, to) {
    const [z, t, dLoss] = node.inputs;
    const kernel = { shader: 'bceWithLogitsLoss', entry: 'gradient', run: 1 };
    overImages(to, kernel, { z, t, dz: node.outputs[0] }, paramsOf(z), { dLoss });
  },
};

/**
 * Binary cross entropy of the probabilities sigmoid(z), from the logits: the mean of max(z, 0) - z t + log(1 +
 * exp(-|z|)), a vector [1]. It is bceLoss(sigmoid(z), t) in real arithmetic, and stays exact where the sigmoid rounds
 * to 0 or 1. The target takes no gradient.
 * @param z logits, image [N, C, H, W]
 * @param t targets in 0 .. 1, same shape
 * @throws Error when the shapes differ
 */
export function bceWithLogitsLoss(z: Tensor, t: Tensor): Tensor {
  checkPair('bceWithLogitsLoss', z, t);
  return recordOne(bceWithLogitsLossOp, [z, t], { shape: [1], layout: 'vector' }, {});
}
