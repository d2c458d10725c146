import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementCount } from '../layout.js';
import { checkPair } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

interface Attributes {
  gamma: number;
  /** What foreground and background pixels count. */
  positive: number;
  negative: number;
}

const paramsOf = (z: Tensor, attributes: Attributes) => ({
  channels: z.shape[1],
  scale: 1 / elementCount(z.shape),
  ...attributes,
});

export const focalLossOp: Op<Attributes> = {
  name: 'focalLoss',
  lower(node, to) {
    const [z, t] = node.inputs;
    sumTerms(to, 'focalLoss', { z, t }, paramsOf(z, node.attributes), node.outputs[0], { across: true });
  },
  gradient: (node, [dLoss]) => {
    const [z, t] = node.inputs;
    return [recordOne(focalLossGradientOp, [z, t, dLoss!], { shape: z.shape }, node.attributes), undefined];
  },
};

export const focalLossGradientOp: Op<Attributes> = {
  name: 'focalLossGradient',
  lower(node, to) {
    const [z, t, dLoss] = node.inputs;
    const kernel = { shader: 'focalLoss', entry: 'gradient', run: 1 };
    overImages(to, kernel, { z, t, dz: node.outputs[0] }, paramsOf(z, node.attributes), { dLoss });
  },
};

export interface FocalOptions {
  /** How much a pixel that is right already counts less; 0 is binary cross entropy. Default 2. */
  gamma?: number;
  /** Foreground pixels count alpha, background pixels 1 - alpha; null: both count 1. Default 0.25. */
  alpha?: number | null;
}

/**
 * Focal loss of the probabilities p = sigmoid(z), from the logits, a vector [1]: the mean of a q^gamma BCE(p, t) with
 * q = p + t - 2 p t, the share that p is wrong by, and a = alpha t + (1 - alpha) (1 - t). The target takes no gradient.
 * Source: Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object Detection", 2017; as torchvision's
 * `sigmoid_focal_loss` with reduction `mean`.
 * @param z logits, image [N, C, H, W]
 * @param t targets of 0 and 1, same shape; negative ones add zeros to the mean (see `labelledMean`)
 * @throws Error when the shapes differ, gamma is negative or alpha not within 0 .. 1
 */
export function focalLoss(z: Tensor, t: Tensor, { gamma = 2, alpha = 0.25 }: FocalOptions = {}): Tensor {
  checkPair('focalLoss', z, t);
  if (!(gamma >= 0 && gamma < Infinity)) throw new Error(`focalLoss: gamma is ${gamma}; a number from 0 on is needed`);
  if (alpha !== null && !(alpha >= 0 && alpha <= 1)) throw new Error(`focalLoss: alpha is ${alpha}; it lies in 0 .. 1`);
  const attributes = { gamma, positive: alpha ?? 1, negative: alpha === null ? 1 : 1 - alpha };
  return recordOne(focalLossOp, [z, t], { shape: [1], layout: 'vector' }, attributes);
}
