/** `trimap train --dry-run`: a few steps of the run, to know what it would take; nothing of it stays on the disk. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cache, openCache } from '../data/cache.js';
import type { SplitName } from '../data/dataset.js';
import { DataError } from '../data/errors.js';
import { drawSample } from '../data/sample.js';
import type { Device } from '../engine/device.js';
import { describeMemory } from '../engine/memory.js';
import { Variables } from '../engine/variables.js';
import { EvaluationStep } from '../nets/evaluationStep.js';
import { TrainingStep } from '../nets/trainingStep.js';
import { openPhotos } from './dataLoading.js';
import { RunError } from './errors.js';
import { unaugmented } from './evaluation.js';
import { duration, mebibytes, type OutputFlags, Progress } from './progress.js';
import { chooseParts, describeStep } from './run.js';
import { modelSettings, type RunSettings, trainingSettings } from './settings.js';
import { tuneRun } from './tuning.js';

export interface DryRunFlags extends OutputFlags {
  adapter?: string;
}

/** Steps are timed until this many seconds have passed, and at least one. */
const TIMED_SECONDS = 2;

/** Storages of the step that are listed, largest first. */
const LISTED = 24;

export async function dryRun(settings: RunSettings, { adapter, json, quiet }: DryRunFlags): Promise<number> {
  const progress = Progress.of({ json, quiet });
  progress.line('dry run: nothing is written');
  const { openDevice } = await import('../engine/dawn.js');
  const device = await openDevice({ adapter, precision: settings.precision });
  const folder = mkdtempSync(join(tmpdir(), 'trimap-dry-run-'));
  let photos: Photos | undefined;
  try {
    progress.line(`adapter: ${device.description}`);
    photos = await loadSome(settings, folder, progress);
    await measure(device, settings, photos, progress, json);
    return 0;
  } finally {
    progress.clear();
    await photos?.cache.close();
    device.close();
    rmSync(folder, { recursive: true });
  }
}

interface Photos {
  /** The first batch of training and of validation. */
  cache: Cache;
  /** Photos of the whole data set, by its lists. */
  counts: Record<SplitName, number>;
}

async function loadSome(settings: RunSettings, folder: string, progress: Progress): Promise<Photos> {
  const { sample, size, batchSize } = settings;
  let { dataPath } = settings;
  // A sample that was drawn before is as good.
  if (sample && !existsSync(dataPath)) {
    dataPath = join(folder, 'sample');
    await drawSample(dataPath, sample, (done, total) => progress.update('drawing', done, total));
  }
  const dataset = openPhotos({ ...settings, dataPath });
  const of = (split: SplitName) => dataset.samples.filter((one) => one.split === split);
  const counts = { train: of('train').length, valid: of('valid').length, test: of('test').length };
  progress.line(`data: ${settings.dataPath}: ${counts.train} training and ${counts.valid} validation photos`);
  if (counts.train === 0 || counts.valid === 0) {
    throw new DataError(`${settings.dataPath} has no ${counts.train === 0 ? 'training' : 'validation'} photos`);
  }
  settings.batchSize = Math.min(batchSize, counts.train);
  const few = { ...dataset, samples: [...of('train').slice(0, batchSize), ...of('valid').slice(0, batchSize)] };
  return { cache: await openCache(few, { height: size, width: size, directory: folder }), counts };
}

async function measure(
  opened: Device,
  settings: RunSettings,
  { cache, counts }: Photos,
  progress: Progress,
  json: boolean | undefined,
): Promise<void> {
  const { batchSize, epochs, learningRate } = settings;
  const microBatches = chooseParts(opened, settings, progress);
  const validBatch = Math.min(batchSize, counts.valid);
  // What is measured is kept, and nothing is to be written.
  const { device } = await tuneRun(opened, settings, { parts: microBatches, validBatch }, progress, false);
  const variables = new Variables(device);
  const step = await TrainingStep.compile(device, variables, trainingSettings(settings, microBatches));
  const evaluation = await EvaluationStep.compile(device, variables, { ...modelSettings(settings), batch: validBatch });
  describeStep(step, variables, settings, progress);

  const trainPixels = await firstOf(cache, 'train', batchSize);
  const validPixels = await firstOf(cache, 'valid', validBatch);
  let steps = 0;
  const train = async () => {
    step.run(trainPixels, unaugmented(batchSize), learningRate, ++steps);
    const { loss, gradientNorm } = await step.result();
    if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return;
    throw new RunError(`the loss of step ${steps} is ${loss}, the norm of the gradients ${gradientNorm}`);
  };
  const validate = async () => {
    evaluation.run(validPixels, unaugmented(validBatch));
    await evaluation.result();
  };
  // Drivers compile kernels when they are first used.
  const [first] = [await seconds(train), await validate()];
  const perStep = await timed(train);
  const perValidation = await timed(validate);

  const perEpoch = Math.ceil(counts.train / batchSize) * perStep + Math.ceil(counts.valid / validBatch) * perValidation;
  const plans = [step.plan, evaluation.plan, ...(step.updatePlan ? [step.updatePlan] : [])];
  const bytes = plans.reduce((sum, { memory }) => sum + memory.transient + memory.inputs, variables.bytes);
  const [total, ...rows] = describeMemory(step.plan.memory).split('\n').reverse();
  const listed = rows.reverse();
  if (json) {
    progress.json({
      first_step_seconds: first,
      images_per_second: batchSize / perStep,
      validation_images_per_second: validBatch / perValidation,
      epoch_seconds: perEpoch,
      run_seconds: epochs * perEpoch,
      bytes,
      weight_bytes: variables.bytes,
      storages: step.plan.memory.storages.map(({ name, shape, bytes: own }) => ({ name, shape, bytes: own })),
    });
  } else {
    progress.line(
      `\nmemory of the training step, largest of ${listed.length} first (values share slots by their lifetimes)`,
    );
    for (const row of listed.slice(0, LISTED)) progress.line(row);
    progress.line(total);
    progress.result(
      `\nmemory: ${mebibytes(bytes)} on the device, ${mebibytes(variables.bytes)} of it weights, gradients and optimizer`,
    );
    progress.result(`speed:  ${(batchSize / perStep).toFixed(1)} images/s; the first step took ${first.toFixed(1)} s`);
    progress.result(
      `time:   ${duration(perEpoch)} an epoch with its validation, ${duration(epochs * perEpoch)} for ${epochs} epochs ` +
        '(without reading the photos for the first time)',
    );
  }
  step.destroy();
  evaluation.destroy();
  variables.destroy();
}

/** Packed photos, again from the first where there are fewer. */
async function firstOf(cache: Cache, split: SplitName, count: number): Promise<Uint8Array> {
  const indices = cache.indices(split);
  if (indices.length === 0)
    throw new DataError(`none of the first ${split} photos can be read; look with trimap check`);
  const pixels = new Uint8Array(count * cache.recordBytes);
  for (let i = 0; i < count; i++) {
    await cache.read(indices[i % indices.length], pixels.subarray(i * cache.recordBytes, (i + 1) * cache.recordBytes));
  }
  return pixels;
}

async function seconds(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Mean seconds of a few rounds. */
async function timed(work: () => Promise<void>): Promise<number> {
  let total = 0;
  for (let rounds = 1; ; rounds++) {
    total += await seconds(work);
    if (total >= TIMED_SECONDS) return total / rounds;
  }
}
