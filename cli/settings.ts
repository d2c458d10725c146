/**
 * What a training run does: resolved once from defaults, a recipe or a file of settings (`configFile.ts`), and flags
 * (`trainFlags.ts`), in that order, and written into the run's folder and its checkpoints, from where it can be given back.
 */
import { type AugmentSettings, augmentationStatistics, defaultAugmentation } from '../data/augment.js';
import type { BadFilePolicy } from '../data/errors.js';
import type { SampleSettings } from '../data/sample.js';
import type { Dtype } from '../engine/layout.js';
import type { Normalisation } from '../engine/ops/augmentImages.js';
import type { OptimizerSettings } from '../engine/optimizers.js';
import type { ScheduleSettings } from '../engine/schedules.js';
import { type LossSettings, resolveLoss } from '../nets/losses.js';
import { IMAGENET, type ModelSettings } from '../nets/model.js';
import type { TrainingSettings } from '../nets/trainingStep.js';
import { borderBytes } from './border.js';

/** What the border of a trimap counts as. */
export type Border = 'pet' | 'background' | 'ignore';

export interface RunSettings extends ModelSettings {
  loss: LossSettings;
  /** Channels of the logits. */
  classes: number;
  normalisation: Normalisation;
  border: Border;
  /** Absolute path of the data set. */
  dataPath: string;
  /** The sample that is drawn at `dataPath`; null for the user's own data. */
  sample: SampleSettings | null;
  /** File of names that says which photos are for what; null: the data set does. */
  split: string | null;
  onBadFile: BadFilePolicy;
  augmentation: AugmentSettings;
  /** Images of one update. */
  batchSize: number;
  /** Parts that a batch is run in; `auto`: the fewest that fit the memory. */
  microBatches: number | 'auto';
  /** GiB that `auto` may fill; null: what the adapter promises. */
  memoryBudget: number | null;
  epochs: number;
  learningRate: number;
  schedule: ScheduleSettings;
  optimizer: OptimizerSettings;
  /** Largest global norm of the gradients; null leaves them as they are. */
  clipNorm: number | null;
  /** Decay of a moving average of the weights, which is then what is validated and kept as best; null: none. */
  ema: number | null;
  /** Epochs without a better validation Dice after which training stops; null: never. */
  earlyStopping: number | null;
  checkNumerics: boolean;
  /** Whether plans merge ops that pass over the same memory. */
  fuse: boolean;
  /** See `ModelSettings`; runs of earlier versions do not say, and are f32. */
  precision?: Dtype;
  /** Whether a training step computes cheap results again instead of keeping them for the gradients. */
  checkpointActivations: boolean;
  /** Weights that the run started from; null for new ones. */
  initialWeights: string | null;
  /** Seconds after which the last checkpoint is written within an epoch. */
  saveEvery: number;
  /** Whether the run writes event files for TensorBoard. */
  tensorboard: boolean;
  /**
   * Which forms the kernels have: null, the rule's; true, the fastest by measuring; or a file of choices, which in a run's own settings
   * lies beside them. Runs of earlier versions do not say, and have the rule's.
   */
  tune?: true | string | null;
}

/** Report 3's training, with Dice of each image. */
export const DEFAULTS: Omit<RunSettings, 'dataPath' | 'classes'> = {
  net: 'unet',
  baseWidth: 64,
  size: 256,
  loss: resolveLoss('bce-dice'),
  seed: 42,
  initialisation: 'pytorch',
  normalisation: IMAGENET,
  border: 'pet',
  sample: null,
  split: null,
  onBadFile: 'stop',
  augmentation: defaultAugmentation,
  batchSize: 8,
  microBatches: 'auto',
  memoryBudget: null,
  epochs: 30,
  learningRate: 1e-3,
  schedule: { kind: 'constant' },
  optimizer: { kind: 'adam' },
  clipNorm: 1,
  ema: null,
  earlyStopping: null,
  checkNumerics: false,
  fuse: true,
  precision: 'f32',
  checkpointActivations: false,
  initialWeights: null,
  saveEvery: 300,
  tensorboard: false,
  tune: null,
};

/** A small job: on two cores 10 epochs take one to two minutes and reach a validation Dice of 0.87 to 0.89. */
export const SAMPLE_DEFAULTS: Partial<RunSettings> = { size: 64, baseWidth: 8, epochs: 10, batchSize: 4 };

/** The photos that are drawn for it. */
export const SAMPLE: SampleSettings = { count: 240, minSize: 64, maxSize: 96, seed: 1 };

/** What the engine has to know for a training step of these settings. */
export function trainingSettings(settings: RunSettings, microBatches: number): TrainingSettings {
  return {
    ...modelSettings(settings),
    batch: settings.batchSize,
    microBatches,
    optimizer: settings.optimizer,
    clipNorm: settings.clipNorm ?? undefined,
    statistics: augmentationStatistics(settings.augmentation),
    ema: settings.ema ?? undefined,
    checkNumerics: settings.checkNumerics,
    checkpointActivations: settings.checkpointActivations,
  };
}

/** What training and evaluation have to agree on. */
export function modelSettings(settings: RunSettings): ModelSettings {
  const { net, baseWidth, size, loss, classes, seed, initialisation, normalisation, border, fuse, precision } =
    settings;
  const model = { net, baseWidth, size, loss, classes, seed, initialisation, normalisation, fuse, precision };
  return { ...model, ...borderBytes[border] };
}
