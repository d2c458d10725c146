/**
 * What a training run does: resolved once from defaults, a recipe or a file of settings, and flags, in that order, and
 * written into the run's folder and its checkpoints, from where it can be given back.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type AugmentSettings,
  augmentationStatistics,
  checkAugmentation,
  defaultAugmentation,
} from '../data/augment.js';
import type { BadFilePolicy } from '../data/errors.js';
import type { SampleSettings } from '../data/sample.js';
import type { Dtype } from '../engine/layout.js';
import type { Normalisation } from '../engine/ops/augmentImages.js';
import type { OptimizerSettings } from '../engine/optimizers.js';
import { resolveSchedule, type ScheduleSettings } from '../engine/schedules.js';
import {
  checkObject,
  type Field,
  integer,
  nullable,
  number,
  oneOf,
  readFields,
  SettingsError,
} from '../engine/settings.js';
import { checkLossClasses, lossClasses, type LossName, type LossSettings, resolveLoss } from '../nets/losses.js';
import { IMAGENET, type ModelSettings } from '../nets/model.js';
import { leastSize, type NetworkName, networks } from '../nets/networks.js';
import type { TrainingSettings } from '../nets/trainingStep.js';
import { closest } from './arguments.js';
import { borderBytes } from './border.js';
import type { TrainingState } from './checkpoint.js';
import { UsageError } from './errors.js';

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

/** The flags of `train`; undefined where not given. */
export interface TrainFlags {
  recipe?: string;
  config?: string;
  printConfig?: boolean;
  dataPath?: string;
  split?: string;
  net?: NetworkName;
  epochs?: number;
  batchSize?: number;
  microBatches?: number | 'auto';
  memoryBudget?: number;
  learningRate?: number;
  loss?: LossName;
  optimizer?: OptimizerSettings['kind'];
  schedule?: ScheduleSettings['kind'];
  clipNorm?: number;
  ema?: number;
  earlyStopping?: number;
  size?: number;
  baseWidth?: number;
  seed?: number;
  border?: Border;
  checkNumerics?: boolean;
  noFuse?: boolean;
  precision?: Dtype;
  checkpointActivations?: boolean;
  model?: string;
  /** Folder of the run, or its name in runs/. */
  run?: string;
  name?: string;
  saveEvery?: number;
  tensorboard?: boolean;
  tune?: true | string;
  dryRun?: boolean;
  quiet?: boolean;
  json?: boolean;
  onBadFile?: BadFilePolicy;
  adapter?: string;
}

/** What `resume` takes. */
export interface ResumeFlags {
  /** Folder of the run. */
  run: string;
  epochs?: number;
  dataPath?: string;
  adapter?: string;
  quiet?: boolean;
  json?: boolean;
}

/** Report 3's training, with Dice of each image. */
const DEFAULTS: Omit<RunSettings, 'dataPath' | 'classes'> = {
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
const SAMPLE_DEFAULTS: Partial<RunSettings> = { size: 64, baseWidth: 8, epochs: 10, batchSize: 4 };

const SAMPLE: SampleSettings = { count: 240, minSize: 64, maxSize: 96, seed: 1 };

/** What a file says for people. */
const ABOUT = 'about';

const positive = { low: 0, exclusive: true };

const threeNumbers: Field<readonly [number, number, number]> = {
  expected: 'three numbers: red, green, blue',
  accepts: (value) => Array.isArray(value) && value.length === 3 && value.every(Number.isFinite),
  fallback: undefined,
};

const field =
  <T>(one: Field<T>) =>
  (value: unknown, key: string): T =>
    readFields('', { [key]: value }, { [key]: one })[key] as T;

const evenWidth: Field<number> = {
  expected: 'an even number from 2 on',
  accepts: (value) => Number.isInteger(value) && (value as number) >= 2 && (value as number) % 2 === 0,
  fallback: undefined,
};

const partsOrAuto: Field<number | 'auto'> = {
  expected: '"auto" or a whole number from 1 on',
  accepts: (value) => value === 'auto' || (Number.isInteger(value) && (value as number) >= 1),
  fallback: undefined,
};

const trueOrFalse: Field<boolean> = {
  expected: 'true or false',
  accepts: (value) => typeof value === 'boolean',
  fallback: undefined,
};

const names = Object.keys(networks) as NetworkName[];

/** How each key of a file of settings is read; the type keeps the list complete. */
const readers: {
  [K in keyof Required<Omit<RunSettings, 'foreground' | 'ignored'>>]: (value: unknown, key: string) => RunSettings[K];
} = {
  net: field(oneOf(names)),
  baseWidth: field(evenWidth),
  size: field(integer(undefined, 16)),
  loss: resolveLoss,
  classes: field(integer(undefined, 1)),
  seed: field(integer()),
  initialisation: field(oneOf(['pytorch', 'he'])),
  normalisation: (value, key) => readFields(key, value, { mean: threeNumbers, std: threeNumbers }),
  border: field(oneOf(['pet', 'background', 'ignore'])),
  dataPath: (value, key) => {
    if (typeof value !== 'string') throw new SettingsError(`${key}: ${JSON.stringify(value)} is not a path`);
    return resolve(value);
  },
  sample: (value, key) => {
    if (value === null) return null;
    const size = integer(undefined, 16);
    return readFields(key, value, { count: integer(undefined, 1), minSize: size, maxSize: size, seed: integer() });
  },
  split: (value) => (value === null ? null : resolve(String(value))),
  onBadFile: field(oneOf(['stop', 'skip'])),
  augmentation: checkAugmentation,
  batchSize: field(integer(undefined, 1)),
  microBatches: field(partsOrAuto),
  memoryBudget: field(nullable(number(undefined, positive))),
  epochs: field(integer(undefined, 1)),
  learningRate: field(number(undefined, positive)),
  schedule: resolveSchedule,
  optimizer: readOptimizer,
  clipNorm: field(nullable(number(undefined, positive))),
  ema: field(nullable(number(undefined, { low: 0, high: 0.999999, exclusive: true }))),
  earlyStopping: field(nullable(integer(undefined, 1))),
  checkNumerics: field(trueOrFalse),
  fuse: field(trueOrFalse),
  precision: field(oneOf<Dtype>(['f32', 'f16'])),
  checkpointActivations: field(trueOrFalse),
  initialWeights: (value) => (value === null ? null : resolve(String(value))),
  saveEvery: field(number(undefined, positive)),
  tensorboard: field(trueOrFalse),
  tune: (value, key) => {
    if (value === null || value === true || typeof value === 'string') return value;
    throw new SettingsError(`${key}: ${JSON.stringify(value)} is neither true, nor a file of choices, nor null`);
  },
};

function readOptimizer(given: unknown, key: string): OptimizerSettings {
  if (typeof given === 'string') return readOptimizer({ kind: given }, key);
  checkObject(key, given);
  const { kind, ...rest } = given;
  const weightDecay = number(kind === 'adamw' ? 0.01 : 0, { low: 0 });
  if (kind === 'sgd') {
    const nesterov = { ...trueOrFalse, fallback: false };
    return { kind, ...readFields(key, rest, { momentum: number(0, { low: 0 }), nesterov, weightDecay }) };
  }
  const betas: Field<readonly [number, number]> = {
    expected: 'two numbers from 0 to below 1',
    accepts: (v) => Array.isArray(v) && v.length === 2 && v.every((b) => b >= 0 && b < 1),
    fallback: [0.9, 0.999],
  };
  const settings = readFields(key, rest, { betas, eps: number(1e-8, positive), weightDecay });
  if (kind === 'adam' || kind === 'adamw' || kind === 'radam') return { kind, ...settings };
  throw new SettingsError(`${key}.kind: ${JSON.stringify(kind)} is no optimizer; known are sgd, adam, adamw, radam`);
}

const recipeFolder = fileURLToPath(new URL('../../cli/recipes/', import.meta.url));

/** Names of the recipes that come with the project. */
export const recipeNames = (): string[] =>
  readdirSync(recipeFolder)
    .map((file) => file.replace(/\.json$/, ''))
    .sort();

/**
 * The settings in a recipe or a file; those under `networks.NET` stand for that net alone.
 * @param net the net that is asked for; default the file's own, then `unet`
 * @throws SettingsError naming the key that is wrong; UsageError when there is no such recipe or file
 */
export function loadConfig(
  { recipe, config }: { recipe?: string; config?: string },
  net?: NetworkName,
): Partial<RunSettings> {
  if (recipe !== undefined && config !== undefined) throw new UsageError('give --recipe or --config, not both');
  const path = recipe === undefined ? config : join(recipeFolder, `${recipe}.json`);
  if (path === undefined) return {};
  if (!existsSync(path)) {
    if (recipe === undefined) throw new UsageError(`--config ${path} does not exist`);
    throw new UsageError(`--recipe ${recipe}: there is no such recipe; there are ${recipeNames().join(', ')}`);
  }
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SettingsError(`${path} is not JSON (${(error as Error).message})`);
  }
  const name = recipe ?? path;
  checkObject(name, given);
  const { networks: special = {}, ...shared } = given;
  checkObject(`${name}: networks`, special);
  const settings = readSettings(name, shared);
  const read = Object.fromEntries(
    Object.entries(special).map(([key, own]) => [key, readSettings(`${name}: networks.${key}`, own)]),
  );
  const loaded = { ...settings, ...read[net ?? settings.net ?? 'unet'] };
  // A run's settings name the file that lies beside them.
  return typeof loaded.tune === 'string' ? { ...loaded, tune: resolve(dirname(path), loaded.tune) } : loaded;
}

function readSettings(where: string, given: unknown): Partial<RunSettings> {
  checkObject(where, given);
  const read = Object.entries(given).flatMap(([key, value]) => {
    if (key === ABOUT) return [];
    if (!Object.hasOwn(readers, key)) {
      const near = closest(key, Object.keys(readers));
      throw new SettingsError(`${where}: ${key} is not a setting${near ? `; did you mean ${near}?` : ''}`);
    }
    try {
      return [[key, readers[key as keyof typeof readers](value, key)]];
    } catch (error) {
      if (error instanceof SettingsError) throw new SettingsError(`${where}: ${error.message.replace(/^\./, '')}`);
      throw error;
    }
  });
  return Object.fromEntries(read) as Partial<RunSettings>;
}

/** What the flags say, in terms of settings. */
function settingsOf(flags: TrainFlags): Partial<RunSettings> {
  const { optimizer, schedule, loss, clipNorm, ema, earlyStopping, model, dataPath } = flags;
  const given: Partial<RunSettings> = {
    net: flags.net,
    baseWidth: flags.baseWidth,
    size: flags.size,
    loss: loss && resolveLoss(loss),
    seed: flags.seed,
    border: flags.border,
    onBadFile: flags.onBadFile,
    batchSize: flags.batchSize,
    microBatches: flags.microBatches,
    memoryBudget: flags.memoryBudget,
    epochs: flags.epochs,
    learningRate: flags.learningRate,
    schedule: schedule && resolveSchedule(schedule),
    optimizer: optimizer && readOptimizer(optimizer, 'optimizer'),
    clipNorm: clipNorm === 0 ? null : clipNorm,
    ema: ema === 0 ? null : ema,
    earlyStopping: earlyStopping === 0 ? null : earlyStopping,
    checkNumerics: flags.checkNumerics,
    saveEvery: flags.saveEvery,
    tensorboard: flags.tensorboard,
    tune: typeof flags.tune === 'string' ? resolve(flags.tune) : flags.tune,
    fuse: flags.noFuse ? false : undefined,
    precision: flags.precision,
    checkpointActivations: flags.checkpointActivations,
    ...(model === undefined ? {} : { initialWeights: resolve(model) }),
    ...(dataPath === undefined ? {} : { dataPath: resolve(dataPath), sample: null }),
    ...(flags.split === undefined ? {} : { split: resolve(flags.split) }),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** @throws UsageError or SettingsError for what cannot work, naming the flag or key */
export function resolveSettings(flags: TrainFlags): RunSettings {
  const file = loadConfig(flags, flags.net);
  const own = settingsOf(flags);
  // A recipe names the variant of the net that was asked for.
  if (file.net !== undefined && flags.recipe !== undefined && isFamily(flags.net)) delete own.net;
  const dataPath = own.dataPath ?? file.dataPath;
  const drawn = { sample: SAMPLE, dataPath: resolve('.cache', 'trimap', 'sample') };
  const merged = {
    ...DEFAULTS,
    ...(dataPath === undefined ? { ...(flags.recipe ? {} : SAMPLE_DEFAULTS), ...drawn } : { dataPath }),
    ...file,
    ...own,
  };
  // Another loss than the file's brings its own number of classes.
  const { classes: fileClasses } = file;
  const classes = fileClasses !== undefined && own.loss === undefined ? fileClasses : lossClasses(merged.loss.name);
  const settings: RunSettings = { ...merged, classes };
  checkLossClasses(settings.loss, classes);
  const least = leastSize(networks[settings.net]);
  if (settings.size < least)
    throw new UsageError(`--size ${settings.size}: ${settings.net} needs images of ${least} or more`);
  if (typeof settings.microBatches === 'number' && settings.batchSize % settings.microBatches !== 0) {
    throw new UsageError(`--micro-batches ${settings.microBatches} does not divide the batch of ${settings.batchSize}`);
  }
  return settings;
}

/** The two nets that every recipe has its variant of. */
const isFamily = (net: NetworkName | undefined): boolean => net === 'unet' || net === 'resnet34-unet';

/**
 * The settings of a run that goes on: its own. More epochs may be asked for, but not fewer; a schedule that ends with the
 * run then ends with its new end. The data may have moved (the caller compares their names).
 * @param finished whether the best weights were measured already
 * @throws UsageError when there is nothing left to do
 */
export function resumeSettings(
  run: string,
  { settings: saved, state }: { settings: RunSettings; state: TrainingState },
  finished: boolean,
  { epochs = saved.epochs, dataPath }: Pick<ResumeFlags, 'epochs' | 'dataPath'>,
): RunSettings {
  if (epochs < saved.epochs) {
    throw new UsageError(`--epochs ${epochs}: ${run} was started with ${saved.epochs}; the number can only be raised`);
  }
  const { earlyStopping: patience } = saved;
  if (finished && patience !== null && state.earlyStopping && state.earlyStopping.bad >= patience) {
    throw new UsageError(
      `${run} has stopped early, after ${state.epoch} epochs; train on from its weights with trimap train --model`,
    );
  }
  if (finished && state.epoch >= epochs) {
    throw new UsageError(`${run} has finished its ${state.epoch} epochs; give more with --epochs to go on`);
  }
  return { ...saved, epochs, ...(dataPath === undefined ? {} : { dataPath: resolve(dataPath), sample: null }) };
}

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
