/** `trimap evaluate`: the scores of saved weights on one split. */
import { resolve } from 'node:path';
import type { Cache } from '../data/cache.js';
import type { SplitName } from '../data/dataset.js';
import { type BadFilePolicy, DataError, plural } from '../data/errors.js';
import type { Device } from '../engine/device.js';
import type { Dtype } from '../engine/layout.js';
import { LOGIT_GRID } from '../engine/thresholdFit.js';
import { Variables } from '../engine/variables.js';
import type { EvaluationSettings } from '../nets/evaluationStep.js';
import { type Checkpoint, loadWeights, readCheckpoint, requireInfo } from './checkpoint.js';
import { loadData } from './dataLoading.js';
import { UsageError } from './errors.js';
import { Evaluator, logitOf } from './evaluation.js';
import { type OutputFlags, Progress } from './progress.js';
import { scoreReport } from './scoreReport.js';
import { type Border, modelSettings, type RunSettings } from './settings.js';
import { asTrained } from './tuning.js';

export interface EvaluateFlags extends OutputFlags {
  model?: string;
  split?: SplitName;
  dataPath?: string;
  batchSize?: number;
  /** Probability above which a pixel is foreground; `auto`: the one that fits the validation photos best. */
  threshold?: number | 'auto';
  border?: Border;
  /** Default that of the training. */
  precision?: Dtype;
  /** Also the reports' own scores. */
  legacyMetrics?: boolean;
  onBadFile?: BadFilePolicy;
  adapter?: string;
}

/** What an evaluation works on. */
interface Job {
  device: Device;
  variables: Variables;
  cache: Cache;
  checkpoint: Checkpoint;
  settings: RunSettings;
  progress: Progress;
}

export async function evaluate(flags: EvaluateFlags): Promise<number> {
  const { model, split = 'valid', json } = flags;
  if (model === undefined) throw new UsageError('give the weights to evaluate: --model runs/unet/best.safetensors');
  // The result alone goes to stdout where a program reads it.
  const progress = Progress.of(flags);
  progress.line(`evaluating ${model} on the ${split} photos`);
  const checkpoint = readCheckpoint(model);
  const { settings: trained } = requireInfo(checkpoint);
  const own = flags.dataPath === undefined ? {} : { dataPath: resolve(flags.dataPath), sample: null, split: null };
  if (flags.dataPath !== undefined && trained.split) {
    progress.line(`split: that of ${flags.dataPath} itself; the training had the one of ${trained.split}`);
  }
  const settings: RunSettings = {
    ...trained,
    ...own,
    border: flags.border ?? trained.border,
    batchSize: flags.batchSize ?? trained.batchSize,
    onBadFile: flags.onBadFile ?? trained.onBadFile,
    precision: flags.precision ?? trained.precision,
  };
  const { border, size } = settings;

  const { openDevice } = await import('../engine/dawn.js');
  const device = await openDevice({ adapter: flags.adapter, precision: settings.precision });
  const variables = new Variables(device);
  let cache: Cache | undefined;
  try {
    progress.line(`adapter: ${device.description}`);
    cache = await loadData(settings, progress);
    const job: Job = {
      device: asTrained(device, trained, model, progress),
      variables,
      cache,
      checkpoint,
      settings,
      progress,
    };
    const fit = flags.threshold === 'auto' ? await fitThreshold(job, split) : undefined;
    const threshold = fit?.threshold ?? (flags.threshold === 'auto' ? undefined : flags.threshold) ?? 0.5;
    const counted = { threshold: logitOf(threshold), boundary: border !== 'ignore', softSums: flags.legacyMetrics };
    const { scores, batchSize } = await onSplit(job, split, counted, async (evaluator, indices, size) => {
      const onProgress = (done: number) => progress.update(split, done, indices.length);
      return { ...(await evaluator.evaluate(job.cache, indices, size, onProgress)), batchSize: size };
    });
    progress.clear();
    if (json) console.log(JSON.stringify({ model, split, border, threshold, fit, ...scores }));
    else progress.result(`\n${scoreReport({ split, scores, threshold, border, size, batchSize })}`);
    return 0;
  } finally {
    progress.clear();
    variables.destroy();
    await cache?.close();
    device.close();
  }
}

/**
 * Lets `use` work with the checkpoint's weights on one split, in batches that are no larger than it.
 * @throws DataError when the split has no photos
 */
async function onSplit<T>(
  { device, variables, cache, checkpoint, settings }: Job,
  split: SplitName,
  counted: Partial<EvaluationSettings>,
  use: (evaluator: Evaluator, indices: readonly number[], batchSize: number) => Promise<T>,
): Promise<T> {
  const indices = cache.indices(split);
  if (indices.length === 0) {
    const way = counted.thresholds ? 'give --threshold a number' : 'choose another --split';
    throw new DataError(`${settings.dataPath} has no ${split} photos; ${way}`);
  }
  const batchSize = Math.min(settings.batchSize, indices.length);
  const evaluator = new Evaluator(device, variables, { ...modelSettings(settings), ...counted });
  try {
    await evaluator.step(batchSize);
    loadWeights(variables, checkpoint, settings);
    return await use(evaluator, indices, batchSize);
  } finally {
    evaluator.destroy();
  }
}

/** A threshold that was looked for. */
interface Fit {
  /** A probability. */
  threshold: number;
  /** Validation photos that it was fitted on. */
  images: number;
  /** Their mean Dice with it, and with one half. */
  dice: number;
  diceAtHalf: number | null;
}

/** Looks for the threshold on the validation photos, whatever is evaluated, and says what was found. */
async function fitThreshold(job: Job, split: SplitName): Promise<Fit> {
  const { cache, progress } = job;
  const fit = await onSplit(job, 'valid', { thresholds: LOGIT_GRID }, async (evaluator, indices, batchSize) => {
    const best = await evaluator.fitThreshold(cache, indices, batchSize, (done) =>
      progress.update('fitting the threshold', done, indices.length),
    );
    return { threshold: best.probability, images: indices.length, dice: best.dice, diceAtHalf: best.diceAtZero };
  });
  const half = fit.diceAtHalf === null ? '' : ` (${fit.diceAtHalf.toFixed(4)} at 0.5)`;
  progress.line(
    `threshold: ${fit.threshold.toFixed(4)}, fitted on ${plural(fit.images, 'validation photo')}, ` +
      `whose mean Dice it makes ${fit.dice.toFixed(4)}${half}` +
      `${split === 'valid' ? '; the scores below are of these photos, and so a little too good' : ''}`,
  );
  return fit;
}
