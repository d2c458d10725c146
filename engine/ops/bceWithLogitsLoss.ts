import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementCount } from '../layout.js';
import { checkPair } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

interface Attributes {
  positiveWeight: number;
}

const paramsOf = (z: Tensor, { positiveWeight }: Attributes) => ({
  channels: z.shape[1],
  scale: 1 / elementCount(z.shape),
  positiveWeight,
});

/** Without a weight the kernel has nothing to do with it. */
const constantsOf = ({ positiveWeight }: Attributes) => ({ WEIGHTED: positiveWeight !== 1 });

export const bceWithLogitsLossOp: Op<Attributes> = {
  name: 'bceWithLogitsLoss',
  lower(node, to) {
    const [z, t] = node.inputs;
    sumTerms(to, 'bceWithLogitsLoss', { z, t }, paramsOf(z, node.attributes), node.outputs[0], {
      across: true,
      constants: constantsOf(node.attributes),
    });
  },
  // dz = dLoss * ((1 + (w - 1) t) sigmoid(z) - w t) / count
  gradient: (node, [dLoss]) => {
    const [z, t] = node.inputs;
    return [recordOne(bceWithLogitsLossGradientOp, [z, t, dLoss!], { shape: z.shape }, node.attributes), undefined];
  },
};

export const bceWithLogitsLossGradientOp: Op<Attributes> = {
  name: 'bceWithLogitsLossGradient',
  lower(node, to) {
    const [z, t, dLoss] = node.inputs;
    const kernel = {
      shader: 'bceWithLogitsLoss',
      entry: 'gradient',
      run: 1,
      constants: constantsOf(node.attributes),
    };
    overImages(to, kernel, { z, t, dz: node.outputs[0] }, paramsOf(z, node.attributes), { dLoss });
  },
};

/**
 * Binary cross entropy of the probabilities sigmoid(z), from the logits: the mean of max(z, 0) - z t + log(1 +
 * exp(-|z|)), a vector [1]. It is bceLoss(sigmoid(z), t) in real arithmetic, and stays exact where the sigmoid rounds
 * to 0 or 1. The target takes no gradient.
 * @param z logits, image [N, C, H, W]
 * @param t targets in 0 .. 1, same shape; negative ones add zeros to the mean (see `labelledMean`)
 * @param positiveWeight what a foreground pixel counts beside a background one; the mean still divides by the number of
 * pixels, as with PyTorch's `pos_weight`. Default 1.
 * @throws Error when the shapes differ, or the weight is not positive
 */
export function bceWithLogitsLoss(z: Tensor, t: Tensor, { positiveWeight = 1 }: Partial<Attributes> = {}): Tensor {
  checkPair('bceWithLogitsLoss', z, t);
  if (!(positiveWeight > 0 && positiveWeight < Infinity)) {
    throw new Error(`bceWithLogitsLoss: positiveWeight is ${positiveWeight}; a positive number is needed`);
  }
  return recordOne(bceWithLogitsLossOp, [z, t], { shape: [1], layout: 'vector' }, { positiveWeight });
}
