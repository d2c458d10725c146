/** The flags of `train` and `resume`, and the settings that a run gets from them. */
import { resolve } from 'node:path';
import type { BadFilePolicy } from '../data/errors.js';
import type { Dtype } from '../engine/layout.js';
import type { OptimizerSettings } from '../engine/optimizers.js';
import { resolveSchedule, type ScheduleSettings } from '../engine/schedules.js';
import { checkLossClasses, lossClasses, type LossName, resolveLoss } from '../nets/losses.js';
import { leastSize, type NetworkName, networks } from '../nets/networks.js';
import type { TrainingState } from './checkpoint.js';
import { loadConfig, readOptimizer } from './configFile.js';
import { UsageError } from './errors.js';
import { type Border, DEFAULTS, type RunSettings, SAMPLE, SAMPLE_DEFAULTS } from './settings.js';

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
