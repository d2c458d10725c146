/**
 * Losses by name, from logits (N, 1 or 2, H, W) and a target (N, 1, H, W) of zeros and ones, to one number. Pixels whose
 * target is -1 are ignored: neither sums nor means have them.
 */
import type { Tensor } from '../engine/graph.js';
import { add } from '../engine/ops/add.js';
import { bceWithLogitsLoss } from '../engine/ops/bceWithLogitsLoss.js';
import { crossEntropyLoss } from '../engine/ops/crossEntropyLoss.js';
import { focalLoss } from '../engine/ops/focalLoss.js';
import { labelledMean } from '../engine/ops/labelledMean.js';
import { diceLoss, jaccardLoss, type OverlapOptions, tverskyLoss } from '../engine/ops/overlapLoss.js';
import { scale } from '../engine/ops/scale.js';
import { sigmoid } from '../engine/ops/sigmoid.js';
import {
  checkObject,
  type Fields,
  type FieldValues,
  nullable,
  number,
  oneOf,
  readFields,
  SettingsError,
} from '../engine/settings.js';

/** What a part of a loss is made from. */
interface LossInput {
  logits: Tensor;
  target: Tensor;
  /** sigmoid(logits), recorded once however many parts take it. */
  probabilities(): Tensor;
  /** From a mean over all pixels, zeros where they are ignored, to the mean over the others. */
  mean(term: Tensor): Tensor;
}

interface Part<F extends Fields> {
  /** Channels that the net has to end in. */
  classes: 1 | 2;
  fields: F;
  record(input: LossInput, settings: FieldValues<F>): Tensor;
}

const part = <F extends Fields>(classes: 1 | 2, fields: F, record: Part<F>['record']): Part<F> => ({
  classes,
  fields,
  record,
});

/** Factor of a part in the sum. */
const weight = number(1, { low: 0, exclusive: true });

/** What a foreground pixel counts beside a background one: PyTorch's `pos_weight`. */
const positiveWeight = number(1, { low: 0, exclusive: true });

const overlap = {
  weight,
  /** Of each image and then averaged, or of all pixels of the batch together. */
  per: oneOf(['image', 'batch'], 'image'),
  /** One pixel's worth of smoothing, so that an image without the object has a gradient, too. */
  epsNum: number(1, { low: 0 }),
  epsDen: number(1, { low: 0, exclusive: true }),
};

const overlapOptions = ({ per, epsNum, epsDen }: FieldValues<typeof overlap>): OverlapOptions => ({
  perImage: per === 'image',
  epsNum,
  epsDen,
});

const parts = {
  /** Mean cross entropy over two classes. */
  ce: part(2, { weight }, ({ logits, target, mean }) => mean(crossEntropyLoss(logits, target))),
  /** Mean binary cross entropy of the probabilities, taken from the logits, where it cannot overflow. */
  bce: part(1, { weight, positiveWeight }, ({ logits, target, mean }, settings) =>
    mean(bceWithLogitsLoss(logits, target, settings)),
  ),
  /** Report 2's: its net ends in a sigmoid, and its BCE applies another; logits beyond a few units hardly learn. */
  'bce-logits-of-sigmoid': part(1, { weight, positiveWeight }, ({ probabilities, target, mean }, settings) =>
    mean(bceWithLogitsLoss(probabilities(), target, settings)),
  ),
  /** Soft Dice of the probabilities, 1 - 2 sum(p t) / (sum(p) + sum(t)). */
  dice: part(1, overlap, ({ probabilities, target }, settings) =>
    diceLoss(probabilities(), target, overlapOptions(settings)),
  ),
  /** Soft IoU of the probabilities. */
  jaccard: part(1, overlap, ({ probabilities, target }, settings) =>
    jaccardLoss(probabilities(), target, overlapOptions(settings)),
  ),
  /** `alpha` is what a false positive costs and `beta` a false negative; defaults are the paper's. */
  tversky: part(
    1,
    { ...overlap, alpha: number(0.3, { low: 0 }), beta: number(0.7, { low: 0 }) },
    ({ probabilities, target }, { alpha, beta, ...settings }) =>
      tverskyLoss(probabilities(), target, { ...overlapOptions(settings), alpha, beta }),
  ),
  /** BCE in which a pixel that is right already counts less; `alpha` null: both classes count the same. */
  focal: part(
    1,
    { weight, gamma: number(2, { low: 0 }), alpha: nullable(number(0.25, { low: 0, high: 1 })) },
    ({ logits, target, mean }, settings) => mean(focalLoss(logits, target, settings)),
  ),
};

type Parts = typeof parts;
export type LossPart = keyof Parts;

/** The losses: sums of parts. */
export const losses = {
  ce: ['ce'],
  bce: ['bce'],
  'bce-dice': ['bce', 'dice'],
  dice: ['dice'],
  'bce-logits-of-sigmoid': ['bce-logits-of-sigmoid'],
  'bce-logits-of-sigmoid-dice': ['bce-logits-of-sigmoid', 'dice'],
  focal: ['focal'],
  tversky: ['tversky'],
  jaccard: ['jaccard'],
} as const satisfies Record<string, readonly LossPart[]>;

export type LossName = keyof typeof losses;

/** A loss with what differs from the defaults, by part: `{ name: 'bce-dice', dice: { weight: 0.5, per: 'batch' } }`. */
export type LossSettings = { name: LossName } & {
  [P in LossPart]?: Partial<FieldValues<Parts[P]['fields']>>;
};

/** Channels that a net under this loss ends in. */
export const lossClasses = (name: LossName): 1 | 2 => parts[losses[name][0]].classes;

/**
 * The loss with every setting filled in; reading its own result gives the same again.
 * @param given a name, or settings as a recipe has them
 * @param key how the settings are called in messages
 * @throws SettingsError naming an unknown loss, a part that it does not have, a key or a value that cannot be
 */
export function resolveLoss(given: unknown, key = 'loss'): LossSettings {
  if (typeof given === 'string') return resolveLoss({ name: given }, key);
  checkObject(key, given);
  const { name, ...settings } = given;
  if (typeof name !== 'string' || !Object.hasOwn(losses, name)) {
    throw new SettingsError(
      `${key}.name: ${JSON.stringify(name)} is no loss; known are ${Object.keys(losses).join(', ')}`,
    );
  }
  const own: readonly LossPart[] = losses[name as LossName];
  const foreign = Object.keys(settings).find((part) => !own.includes(part as LossPart));
  if (foreign !== undefined) {
    throw new SettingsError(
      `${key}.${foreign}: the loss ${name} has no part of this name; its parts are ${own.join(', ')}`,
    );
  }
  const resolved = own.map((part) => [part, readFields(`${key}.${part}`, settings[part] ?? {}, parts[part].fields)]);
  return { name, ...Object.fromEntries(resolved) } as LossSettings;
}

/** @throws SettingsError when the loss does not work on this number of classes */
export function checkLossClasses(given: LossName | LossSettings, classes: number): void {
  const { name } = resolveLoss(given);
  const needed = lossClasses(name);
  if (classes === needed) return;
  const others = (Object.keys(losses) as LossName[]).filter((loss) => lossClasses(loss) === classes);
  const way = others.length > 0 ? `, or a loss of: ${others.join(', ')}` : '';
  throw new SettingsError(`classes: ${classes}, but the loss ${name} needs ${needed}; use classes ${needed}${way}`);
}

/**
 * Records a loss, a vector [1].
 * @param logits image [N, `lossClasses`, H, W]
 * @param target image [N, 1, H, W] of zeros and ones, and of -1 where `ignoring` says that there are such pixels
 * @throws SettingsError when the logits have another number of classes, or the settings are wrong
 */
export function recordLoss(
  logits: Tensor,
  target: Tensor,
  given: LossName | LossSettings,
  { ignoring = false } = {},
): Tensor {
  const settings = resolveLoss(given);
  checkLossClasses(settings, logits.shape[1]);
  let sigmoids: Tensor | undefined;
  const input: LossInput = {
    logits,
    target,
    probabilities: () => (sigmoids ??= sigmoid(logits)),
    mean: (term) => (ignoring ? labelledMean(term, target) : term),
  };
  const terms = losses[settings.name].map((name) => {
    // The table's entries differ in their fields; resolveLoss has read this one's settings by this one's fields.
    const { record } = parts[name] as unknown as Part<Fields>;
    const own = settings[name] as { weight: number };
    const term = record(input, own);
    return own.weight === 1 ? term : scale(term, own.weight);
  });
  return terms.reduce((sum, term) => add(sum, term));
}
