import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementCount } from '../layout.js';
import { checkPair } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

const paramsOf = (p: Tensor) => ({ channels: p.shape[1], scale: 1 / elementCount(p.shape) });

export const bceLossOp: Op = {
  name: 'bceLoss',
  lower(node, to) {
    const [p, t] = node.inputs;
    sumTerms(to, 'bceLoss', { p, t }, paramsOf(p), node.outputs[0], { across: true });
  },
  // dp = dLoss * (p - t) / max(p (1 - p), 1e-12) / count, as PyTorch has it
  gradient: (node, [dLoss]) => {
    const [p, t] = node.inputs;
    return [recordOne(bceLossGradientOp, [p, t, dLoss!], { shape: p.shape }, {}), undefined];
  },
};

export const bceLossGradientOp: Op = {
  name: 'bceLossGradient',
  lower(node, to) {
    const [p, t, dLoss] = node.inputs;
    overImages(to, { shader: 'bceLoss', entry: 'gradient', run: 1 }, { p, t, dp: node.outputs[0] }, paramsOf(p), {
      dLoss,
    });
  },
};

/**
 * Binary cross entropy of probabilities: the mean of -(t log(p) + (1 - t) log(1 - p)), logarithms not below -100, a
 * vector [1]. From logits, `bceWithLogitsLoss` is more exact. The target takes no gradient.
 * @param p probabilities, image [N, C, H, W]
 * @param t targets in 0 .. 1, same shape
 * @throws Error when the shapes differ
 */
export function bceLoss(p: Tensor, t: Tensor): Tensor {
  checkPair('bceLoss', p, t);
  return recordOne(bceLossOp, [p, t], { shape: [1], layout: 'vector' }, {});
}
