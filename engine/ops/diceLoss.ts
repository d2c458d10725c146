import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkPair } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

interface SumsAttributes {
  /** A row of sums for each image instead of one for the batch. */
  perImage: boolean;
}

const sumsParams = ({ shape }: Tensor, { perImage }: SumsAttributes) => ({
  channels: shape[1],
  rowStep: Number(perImage),
});

export const diceSumsOp: Op<SumsAttributes> = {
  name: 'diceSums',
  lower(node, to) {
    const [p, t] = node.inputs;
    sumTerms(to, 'diceSums', { p, t }, sumsParams(p, node.attributes), node.outputs[0], node.attributes);
  },
  // dp = d(sum of p t) * t + d(sum of p)
  gradient: (node, [dSums]) => {
    const [p, t] = node.inputs;
    return [recordOne(diceSumsGradientOp, [t, dSums!], { shape: p.shape }, node.attributes), undefined];
  },
};

export const diceSumsGradientOp: Op<SumsAttributes> = {
  name: 'diceSumsGradient',
  lower(node, to) {
    const [t, dSums] = node.inputs;
    const kernel = { shader: 'diceSums', entry: 'gradient', run: 1 };
    overImages(to, kernel, { t, dp: node.outputs[0] }, sumsParams(t, node.attributes), { dSums });
  },
};

/**
 * The three sums that soft Dice is made of: of p t, of p and of t, over the whole batch as an image [1, 3, 1, 1], or
 * per image, [N, 3, 1, 1]. The target takes no gradient.
 * @param p probabilities, image [N, C, H, W]
 * @param t targets, same shape
 * @throws Error when the shapes differ
 */
export function diceSums(p: Tensor, t: Tensor, { perImage = false } = {}): Tensor {
  checkPair('diceSums', p, t);
  return recordOne(diceSumsOp, [p, t], { shape: [perImage ? p.shape[0] : 1, 3, 1, 1] }, { perImage });
}

export interface DiceOptions {
  /** Added to the numerator; 0 makes an empty target cost 1 whatever is predicted. Default 0. */
  epsNum?: number;
  /** Added to the denominator. Default 1e-8. */
  epsDen?: number;
  /** One Dice for each image, then their mean, instead of one Dice over the pixels of the batch. Default false. */
  perImage?: boolean;
}

interface LossAttributes {
  epsNum: number;
  epsDen: number;
}

export const diceLossOp: Op<LossAttributes> = {
  name: 'diceLoss',
  lower(node, to) {
    const [sums] = node.inputs;
    to.dispatch({
      shader: 'diceLoss',
      entry: 'forward',
      params: { rows: sums.shape[0], ...node.attributes },
      bindings: { sums, loss: node.outputs[0] },
      workgroups: [1, 1, 1],
    });
  },
  gradient: (node, [dLoss]) => {
    const [sums] = node.inputs;
    return [recordOne(diceLossGradientOp, [sums, dLoss!], { shape: sums.shape }, node.attributes)];
  },
};

export const diceLossGradientOp: Op<LossAttributes> = {
  name: 'diceLossGradient',
  lower(node, to) {
    const [sums, dLoss] = node.inputs;
    to.dispatch({
      shader: 'diceLoss',
      entry: 'gradient',
      params: { rows: sums.shape[0], ...node.attributes },
      bindings: { sums, dLoss, dSums: node.outputs[0] },
      workgroups: to.flat(sums.shape[0]),
    });
  },
};

/**
 * Soft Dice loss, a vector [1]: 1 - (2 sum(p t) + epsNum) / (sum(p) + sum(t) + epsDen), over the batch or per image and
 * then averaged. The target takes no gradient.
 * @param p probabilities, image [N, C, H, W]
 * @param t targets, same shape
 * @throws Error when the shapes differ, or an epsilon is negative
 */
export function diceLoss(
  p: Tensor,
  t: Tensor,
  { epsNum = 0, epsDen = 1e-8, perImage = false }: DiceOptions = {},
): Tensor {
  checkPair('diceLoss', p, t);
  if (!(epsNum >= 0 && epsDen >= 0))
    throw new Error(`diceLoss: epsNum ${epsNum} and epsDen ${epsDen} must not be negative`);
  return recordOne(diceLossOp, [diceSums(p, t, { perImage })], { shape: [1], layout: 'vector' }, { epsNum, epsDen });
}
