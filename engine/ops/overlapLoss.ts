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
 * The three sums that overlap losses are made of: of p t, of p and of t, over the whole batch as an image [1, 3, 1, 1],
 * or per image, [N, 3, 1, 1]. Where the target is negative, p is left out. The target takes no gradient.
 * @param p probabilities, image [N, C, H, W]
 * @param t targets, same shape
 * @throws Error when the shapes differ
 */
export function diceSums(p: Tensor, t: Tensor, { perImage = false } = {}): Tensor {
  checkPair('diceSums', p, t);
  return recordOne(diceSumsOp, [p, t], { shape: [perImage ? p.shape[0] : 1, 3, 1, 1] }, { perImage });
}

export interface OverlapOptions {
  /** Added to the numerator; 0 makes an empty target cost 1 whatever is predicted. Default 0. */
  epsNum?: number;
  /** Added to the denominator. Default 1e-8. */
  epsDen?: number;
  /** One loss for each image, then their mean, instead of one over the pixels of the batch. Default false. */
  perImage?: boolean;
}

/** loss = 1 - (above * sum(p t) + epsNum) / (both * sum(p t) + predicted * sum(p) + truth * sum(t) + epsDen). */
interface LossAttributes {
  above: number;
  both: number;
  predicted: number;
  truth: number;
  epsNum: number;
  epsDen: number;
}

export const overlapLossOp: Op<LossAttributes> = {
  name: 'overlapLoss',
  lower(node, to) {
    const [sums] = node.inputs;
    to.dispatch({
      shader: 'overlapLoss',
      entry: 'forward',
      params: { rows: sums.shape[0], ...node.attributes },
      bindings: { sums, loss: node.outputs[0] },
      workgroups: [1, 1, 1],
    });
  },
  gradient: (node, [dLoss]) => {
    const [sums] = node.inputs;
    return [recordOne(overlapLossGradientOp, [sums, dLoss!], { shape: sums.shape }, node.attributes)];
  },
};

export const overlapLossGradientOp: Op<LossAttributes> = {
  name: 'overlapLossGradient',
  lower(node, to) {
    const [sums, dLoss] = node.inputs;
    to.dispatch({
      shader: 'overlapLoss',
      entry: 'gradient',
      params: { rows: sums.shape[0], ...node.attributes },
      bindings: { sums, dLoss, dSums: node.outputs[0] },
      workgroups: to.flat(sums.shape[0]),
    });
  },
};

function overlapLoss(
  name: string,
  p: Tensor,
  t: Tensor,
  ratio: Pick<LossAttributes, 'above' | 'both' | 'predicted' | 'truth'>,
  { epsNum = 0, epsDen = 1e-8, perImage = false }: OverlapOptions,
): Tensor {
  checkPair(name, p, t);
  if (!(epsNum >= 0 && epsDen >= 0)) {
    throw new Error(`${name}: epsNum ${epsNum} and epsDen ${epsDen} must not be negative`);
  }
  const sums = diceSums(p, t, { perImage });
  return recordOne(overlapLossOp, [sums], { shape: [1], layout: 'vector', name }, { ...ratio, epsNum, epsDen });
}

/**
 * Soft Dice loss, a vector [1]: 1 - (2 sum(p t) + epsNum) / (sum(p) + sum(t) + epsDen), over the batch or per image and
 * then averaged. The target takes no gradient.
 * @param p probabilities, image [N, C, H, W]
 * @param t targets, same shape
 * @throws Error when the shapes differ, or an epsilon is negative
 */
export const diceLoss = (p: Tensor, t: Tensor, options: OverlapOptions = {}): Tensor =>
  overlapLoss('diceLoss', p, t, { above: 2, both: 0, predicted: 1, truth: 1 }, options);

/**
 * Soft Jaccard (IoU) loss, a vector [1]: 1 - (sum(p t) + epsNum) / (sum(p) + sum(t) - sum(p t) + epsDen).
 * Source: Rahman and Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", 2016.
 * Parameters and errors as `diceLoss`.
 */
export const jaccardLoss = (p: Tensor, t: Tensor, options: OverlapOptions = {}): Tensor =>
  overlapLoss('jaccardLoss', p, t, { above: 1, both: -1, predicted: 1, truth: 1 }, options);

export interface TverskyOptions extends OverlapOptions {
  /** What a false positive costs, sum(p (1 - t)). */
  alpha: number;
  /** What a false negative costs, sum((1 - p) t). */
  beta: number;
}

/**
 * Tversky loss, a vector [1]: 1 - (TP + epsNum) / (TP + alpha FP + beta FN + epsDen) with TP = sum(p t),
 * FP = sum(p (1 - t)), FN = sum((1 - p) t). Both 0.5 make it Dice, both 1 Jaccard, epsilons aside.
 * Source: Salehi, Erdogmus and Gholipour, "Tversky loss function for image segmentation using 3D fully convolutional deep
 * networks", 2017. Parameters as `diceLoss`.
 * @throws Error when the shapes differ, or alpha, beta or an epsilon is negative
 */
export function tverskyLoss(p: Tensor, t: Tensor, { alpha, beta, ...options }: TverskyOptions): Tensor {
  if (!(alpha >= 0 && beta >= 0 && alpha + beta < Infinity)) {
    throw new Error(`tverskyLoss: alpha ${alpha} and beta ${beta} must be numbers from 0 on`);
  }
  const ratio = { above: 1, both: 1 - alpha - beta, predicted: alpha, truth: beta };
  return overlapLoss('tverskyLoss', p, t, ratio, options);
}
