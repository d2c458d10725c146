/** What a training run does: resolved from flags and defaults once, written into its folder and its checkpoints. */
import { join, resolve } from 'node:path';
import { type AugmentSettings, defaultAugmentation } from '../data/augment.js';
import type { BadFilePolicy } from '../data/errors.js';
import type { SampleSettings } from '../data/sample.js';
import type { OptimizerSettings } from '../engine/optimizers.js';
import { leastSize, type NetworkName, networks } from '../nets/networks.js';
import type { ModelSettings } from '../nets/steps.js';
import { UsageError } from './errors.js';

export interface RunSettings extends ModelSettings {
  /** Absolute path of the data set. */
  dataPath: string;
  /** The sample that is drawn at `dataPath`; null for the user's own data. */
  sample: SampleSettings | null;
  onBadFile: BadFilePolicy;
  augmentation: AugmentSettings;
  batchSize: number;
  epochs: number;
  learningRate: number;
  optimizer: OptimizerSettings;
  /** Largest global norm of the gradients; null leaves them as they are. */
  clipNorm: number | null;
  /** Weights that the run started from; null for new ones. */
  initialWeights: string | null;
}

/** The flags of `train`; undefined where not given. */
export interface TrainFlags {
  dataPath?: string;
  net?: NetworkName;
  epochs?: number;
  batchSize?: number;
  learningRate?: number;
  clipNorm?: number;
  size?: number;
  baseWidth?: number;
  seed?: number;
  model?: string;
  run?: string;
  resume?: string;
  onBadFile?: BadFilePolicy;
  adapter?: string;
}

/** Report 3's training. */
const DEFAULTS = { size: 256, baseWidth: 64, epochs: 30, batchSize: 8 };

/** A small job: on two cores 10 epochs take one to two minutes and reach a validation Dice of 0.87 to 0.89. */
const SAMPLE_DEFAULTS = { size: 64, baseWidth: 8, epochs: 10, batchSize: 4 };

const SAMPLE: SampleSettings = { count: 240, minSize: 64, maxSize: 96, seed: 1 };

export function resolveSettings(flags: TrainFlags): RunSettings {
  const defaults = flags.dataPath === undefined ? SAMPLE_DEFAULTS : DEFAULTS;
  const { clipNorm = 1 } = flags;
  const settings: RunSettings = {
    net: flags.net ?? 'unet',
    baseWidth: flags.baseWidth ?? defaults.baseWidth,
    size: flags.size ?? defaults.size,
    loss: 'bce-dice',
    seed: flags.seed ?? 42,
    initialisation: 'pytorch',
    dataPath: resolve(flags.dataPath ?? join('.cache', 'trimap', 'sample')),
    sample: flags.dataPath === undefined ? SAMPLE : null,
    onBadFile: flags.onBadFile ?? 'stop',
    augmentation: defaultAugmentation,
    batchSize: flags.batchSize ?? defaults.batchSize,
    epochs: flags.epochs ?? defaults.epochs,
    learningRate: flags.learningRate ?? 1e-3,
    optimizer: { kind: 'adam' },
    clipNorm: clipNorm === 0 ? null : clipNorm,
    initialWeights: flags.model === undefined ? null : resolve(flags.model),
  };
  const least = leastSize(networks[settings.net]);
  if (settings.size < least)
    throw new UsageError(`--size ${settings.size}: ${settings.net} needs images of ${least} or more`);
  return settings;
}

/**
 * The settings of a run that goes on: its own. A flag that says something else is an error, since the run would become a
 * different one; `--epochs` may be raised, and the data may have moved (the caller compares their names).
 */
export function resumeSettings(
  run: string,
  saved: RunSettings,
  finishedEpochs: number,
  flags: TrainFlags,
): RunSettings {
  if (flags.run !== undefined) throw new UsageError('--resume writes into the folder that it resumes; leave --run out');
  if (flags.model !== undefined) throw new UsageError('--resume takes the weights of the run; leave --model out');
  const { clipNorm } = saved;
  const pairs: [flag: string, given: unknown, saved: unknown][] = [
    ['--net', flags.net, saved.net],
    ['--batch-size', flags.batchSize, saved.batchSize],
    ['--learning-rate', flags.learningRate, saved.learningRate],
    ['--clip-norm', flags.clipNorm, clipNorm ?? 0],
    ['--size', flags.size, saved.size],
    ['--base-width', flags.baseWidth, saved.baseWidth],
    ['--seed', flags.seed, saved.seed],
    ['--on-bad-file', flags.onBadFile, saved.onBadFile],
  ];
  const conflicts = pairs.filter(([, given, own]) => given !== undefined && given !== own);
  if (conflicts.length > 0) {
    const list = conflicts.map(([flag, given, own]) => `${flag} ${given} (the run has ${own})`).join(', ');
    throw new UsageError(`${run} cannot be resumed with ${list}; leave the flags out, or start a new run with --model`);
  }
  const epochs = flags.epochs ?? saved.epochs;
  if (epochs < saved.epochs) {
    throw new UsageError(`--epochs ${epochs}: ${run} was started with ${saved.epochs}; the number can only be raised`);
  }
  if (finishedEpochs >= epochs) {
    throw new UsageError(`${run} has finished its ${finishedEpochs} epochs; give more with --epochs to go on`);
  }
  if (flags.dataPath === undefined) return { ...saved, epochs };
  return { ...saved, epochs, dataPath: resolve(flags.dataPath), sample: null };
}
