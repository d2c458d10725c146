/** Losses by name, from logits (N, 1 or 2, H, W) and a target (N, 1, H, W) of zeros and ones, to one number. */
import type { Tensor } from '../engine/graph.js';
import { add } from '../engine/ops/add.js';
import { bceWithLogitsLoss } from '../engine/ops/bceWithLogitsLoss.js';
import { crossEntropyLoss } from '../engine/ops/crossEntropyLoss.js';
import { diceLoss, type DiceOptions } from '../engine/ops/diceLoss.js';
import { sigmoid } from '../engine/ops/sigmoid.js';

/** Dice of each image with one pixel's worth of smoothing, so that an image without the object has a gradient, too. */
export const DEFAULT_DICE: DiceOptions = { epsNum: 1, epsDen: 1, perImage: true };

type Loss = (logits: Tensor, target: Tensor, dice: DiceOptions) => Tensor;

export const losses = {
  /** Mean cross entropy over two classes. */
  ce: (z, t) => crossEntropyLoss(z, t),
  /** Mean binary cross entropy of sigmoid(z), taken from the logits, where it cannot overflow. */
  bce: (z, t) => bceWithLogitsLoss(z, t),
  /** BCE + soft Dice of sigmoid(z). */
  'bce-dice': (z, t, dice) => add(bceWithLogitsLoss(z, t), diceLoss(sigmoid(z), t, dice)),
  /** Report 2's: its net ends in a sigmoid, and its BCE applies another; logits beyond a few units hardly learn. */
  'bce-logits-of-sigmoid-dice': (z, t, dice) => {
    const p = sigmoid(z);
    return add(bceWithLogitsLoss(p, t), diceLoss(p, t, dice));
  },
} as const satisfies Record<string, Loss>;

export type LossName = keyof typeof losses;
