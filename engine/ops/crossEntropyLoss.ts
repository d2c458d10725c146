import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkImage } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

const paramsOf = (z: Tensor) => ({ classes: z.shape[1], scale: 1 / (z.shape[0] * z.shape[2] * z.shape[3]) });

export const crossEntropyLossOp: Op = {
  name: 'crossEntropyLoss',
  lower(node, to) {
    const [z, labels] = node.inputs;
    sumTerms(to, 'crossEntropyLoss', { labels, z }, paramsOf(z), node.outputs[0], { across: true });
  },
  // dz = dLoss * (softmax(z) - onehot(label)) / pixels
  gradient: (node, [dLoss]) => {
    const [z, labels] = node.inputs;
    return [recordOne(crossEntropyLossGradientOp, [z, labels, dLoss!], { shape: z.shape }, {}), undefined];
  },
};

export const crossEntropyLossGradientOp: Op = {
  name: 'crossEntropyLossGradient',
  lower(node, to) {
    const [z, labels, dLoss] = node.inputs;
    const kernel = { shader: 'crossEntropyLoss', entry: 'gradient', run: 1 };
    overImages(to, kernel, { labels, z, dz: node.outputs[0] }, paramsOf(z), { dLoss });
  },
};

/**
 * Cross entropy over the channels: the mean over all pixels of log(sum_k exp(z_k)) - z_label, a vector [1]. The labels
 * take no gradient.
 * @param z logits, image [N, K, H, W] with K >= 2 classes
 * @param labels class numbers 0 .. K - 1, image [N, 1, H, W]; the GPU cannot complain about larger ones: they
 * count as log(sum_k exp(z_k)); negative ones add zeros to the mean (see `labelledMean`)
 * @throws Error when the shapes do not fit
 */
export function crossEntropyLoss(z: Tensor, labels: Tensor): Tensor {
  checkImage('crossEntropyLoss', z);
  checkImage('crossEntropyLoss', labels, 1);
  const [n, classes, h, w] = z.shape;
  if (classes < 2) throw new Error(`crossEntropyLoss: ${z} has ${classes} class; 2 or more needed`);
  if (labels.shape.join() !== [n, 1, h, w].join()) {
    throw new Error(`crossEntropyLoss: labels ${labels} do not fit the logits ${z}; [${n}, 1, ${h}, ${w}] needed`);
  }
  return recordOne(crossEntropyLossOp, [z, labels], { shape: [1], layout: 'vector' }, {});
}
