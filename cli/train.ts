/** `trimap train`: data, plans, epochs with validation, checkpoints, and at the end the best weights on test photos. */
import { DataError, plural } from '../data/errors.js';
import type { Cache } from '../data/cache.js';
import type { Device } from '../engine/device.js';
import { Variables } from '../engine/variables.js';
import { EarlyStopping } from '../engine/earlyStopping.js';
import { describeFused } from '../engine/fuse.js';
import { EMA_STATE } from '../engine/ops/movingAverage.js';
import type { Plan } from '../engine/plan.js';
import { chooseMicroBatches, describeMicroBatches } from '../nets/microBatches.js';
import { TrainingStep } from '../nets/steps.js';
import {
  type Checkpoint,
  type CheckpointInfo,
  loadOptimizer,
  loadWeights,
  readCheckpoint,
  requireInfo,
  saveCheckpoint,
  type TrainingState,
} from './checkpoint.js';
import { loadData, trainingPhotos } from './dataLoading.js';
import { Interrupted } from './errors.js';
import { baselines, Evaluator, type Scores, scoreRows } from './evaluation.js';
import { versions } from './info.js';
import { StopRequest } from './interrupt.js';
import { describeUniform, predictionBatch, predictPhotos } from './prediction.js';
import { duration, mebibytes, Progress, table } from './progress.js';
import { type EpochRecord, RunFolder } from './runFolder.js';
import {
  modelSettings,
  resolveSettings,
  resumeSettings,
  type RunSettings,
  type TrainFlags,
  trainingSettings,
} from './settings.js';
import { freshState, percent, Trainer } from './trainer.js';

/** Test photos whose predicted masks are written at the end. */
const SHOWN = 16;

export async function train(flags: TrainFlags): Promise<number> {
  const progress = new Progress();
  const { settings, resumed } = plan(flags);
  if (flags.printConfig) {
    console.log(JSON.stringify(settings, null, 2));
    return 0;
  }
  const { net, baseWidth, size, batchSize, epochs, learningRate, loss, optimizer } = settings;
  const where = resumed ? `going on with ${resumed.folder.path} after epoch ${resumed.info.state.epoch}` : 'training';
  progress.line(
    `${where}: ${net} with base width ${baseWidth}, ${size}x${size} pixels, ${epochs} epochs of batches of ${batchSize}, ` +
      `loss ${loss.name}, ${optimizer.kind} at ${learningRate}, seed ${settings.seed}`,
  );
  // A file that does not fit should be known before anything takes time.
  const initial = settings.initialWeights && !resumed ? readCheckpoint(settings.initialWeights) : undefined;

  const { openDevice } = await import('../engine/dawn.js');
  const device = await openDevice({ adapter: flags.adapter, precision: settings.precision });
  let cache: Cache | undefined;
  try {
    progress.line(`adapter: ${device.description}`);
    cache = await loadData(settings, progress);
    checkSplits(cache, settings, resumed, progress);
    await run({ device, cache, settings, progress, runPath: flags.run, initial, resumed });
    return 0;
  } finally {
    progress.clear();
    await cache?.close();
    device.close();
  }
}

/** A run that goes on: its folder, its last checkpoint and what that says. */
interface Resumed {
  folder: RunFolder;
  checkpoint: Checkpoint;
  info: CheckpointInfo;
}

function plan(flags: TrainFlags): { settings: RunSettings; resumed?: Resumed } {
  if (flags.resume === undefined) {
    if (flags.run !== undefined) RunFolder.checkFree(flags.run);
    return { settings: resolveSettings(flags) };
  }
  const folder = RunFolder.open(flags.resume);
  const checkpoint = readCheckpoint(folder.last);
  const info = requireInfo(checkpoint);
  const settings = resumeSettings(flags.resume, info.settings, info.state.epoch, flags);
  return { settings, resumed: { folder, checkpoint, info } };
}

/** Makes the batch no larger than the training split. Throws DataError when a split that training needs is empty. */
function checkSplits(cache: Cache, settings: RunSettings, resumed: Resumed | undefined, progress: Progress): void {
  const count = cache.indices('train').length;
  for (const [split, name] of [
    ['train', 'training'],
    ['valid', 'validation'],
  ] as const) {
    if (cache.indices(split).length > 0) continue;
    throw new DataError(
      `${settings.dataPath} has no ${name} photos; put pairs into ${split}/images and ${split}/masks, or add photos`,
    );
  }
  if (settings.batchSize > count) {
    progress.line(`data: batches of ${count} instead of ${settings.batchSize}: there are no more training photos`);
    settings.batchSize = count;
  }
  if (resumed && resumed.info.trainingPhotos !== trainingPhotos(cache)) {
    throw new DataError(
      `the training photos in ${settings.dataPath} are not those that ${resumed.folder.path} began with; ` +
        'bring them back, or start a new run with --model',
    );
  }
}

interface Job {
  device: Device;
  cache: Cache;
  settings: RunSettings;
  progress: Progress;
  runPath?: string;
  /** Weights to start from. */
  initial?: Checkpoint;
  resumed?: Resumed;
}

async function run({ device, cache, settings, progress, runPath, initial, resumed }: Job): Promise<void> {
  const variables = new Variables(device);
  const microBatches = choosePart(device, settings, progress);
  progress.line('compiling the training step ...');
  const step = await TrainingStep.compile(device, variables, trainingSettings(settings, microBatches));
  describeStep(step, variables, progress);
  if (initial) loadWeights(variables, initial, settings);
  if (resumed) {
    loadWeights(variables, resumed.checkpoint, settings);
    loadOptimizer(variables, resumed.checkpoint, step.stateNames);
    if (resumed.info.state.lossScale) step.restoreLossScale(resumed.info.state.lossScale);
  }

  const valid = cache.indices('valid');
  for (const [predicted, { dice, iou }] of Object.entries(await baselines(cache, valid, settings.border))) {
    progress.line(
      `baseline: predicting all ${predicted} has validation Dice ${dice.toFixed(4)}, IoU ${iou.toFixed(4)}`,
    );
  }

  const folder = resumed?.folder ?? RunFolder.create(runPath);
  const counts = { train: cache.indices('train').length, valid: valid.length, test: cache.indices('test').length };
  folder.writeSettings({ ...settings, photos: counts, adapter: device.description, versions: versions() });
  progress.line(`run: ${folder.path}`);

  const evaluator = new Evaluator(device, variables, {
    ...modelSettings(settings),
    averagedWeights: settings.ema !== null,
  });
  const state: TrainingState = { ...freshState(), ...resumed?.info.state };
  const trainer = new Trainer(step, cache, settings, state, progress);
  const photos = trainingPhotos(cache);
  const history = folder.readHistory(state.epoch);
  const info = (validation: Scores | null) => ({ settings, state: { ...state }, validation, trainingPhotos: photos });
  const saveLast = (scores: Scores | null) => saveCheckpoint(folder.last, variables, step.stateNames, info(scores));
  const saveBest = (scores: Scores) =>
    saveCheckpoint(folder.best, variables, [], info(scores), settings.ema === null ? undefined : EMA_STATE);
  const patience = settings.earlyStopping;
  const stopping = patience === null ? undefined : new EarlyStopping({ patience, minimumImprovement: 0 });
  if (stopping && state.earlyStopping) stopping.state = state.earlyStopping;

  const stop = new StopRequest(() => progress.line('stopping after this step; once more ends at once'));
  const started = performance.now();
  try {
    while (state.epoch < settings.epochs && !stopping?.stopped) {
      const interrupted = async () => {
        await saveLast(null);
        const left = `epoch ${state.epoch + 1} after ${state.batch} of ${trainer.batchesPerEpoch} batches`;
        return new Interrupted(`stopped in ${left}; go on with: trimap train --resume ${folder.path}`);
      };
      if (!(await trainer.trainEpoch(() => stop.requested))) throw await interrupted();
      let scores: Scores;
      try {
        scores = await evaluator.evaluate(cache, valid, settings.batchSize, (done) => {
          if (stop.requested) throw new Interrupted();
          progress.update('validation', done, valid.length);
        });
      } catch (error) {
        throw error instanceof Interrupted ? await interrupted() : error;
      }
      const record = epochRecord(trainer, scores);
      trainer.finishEpoch();
      const isBest = scores.dice > (state.best?.dice ?? -Infinity);
      if (isBest) state.best = { epoch: state.epoch, dice: scores.dice };
      trainer.observe(scores.dice);
      stopping?.observe(scores.dice);
      if (stopping) state.earlyStopping = stopping.state;
      history.push(record);
      folder.writeHistory(history);
      if (isBest) await saveBest(scores);
      await saveLast(scores);
      progress.line(epochLine(record, settings, isBest));
    }
  } finally {
    stop.dispose();
  }
  progress.line(
    `training took ${duration((performance.now() - started) / 1000)}${resumed ? ' since it was resumed' : ''}`,
  );
  if (stopping?.stopped) progress.line(`stopped early: ${patience} epochs without a better validation Dice`);
  evaluator.destroy();
  // The best weights are loaded as the present ones, averages or not.
  const final = new Evaluator(device, variables, modelSettings(settings));
  await finish({ evaluator: final, variables, folder, cache, settings, progress });
  final.destroy();
  step.destroy();
  variables.destroy();
}

/** The parts that a batch is run in, as asked for or as few as fit; says so where it is more than one. */
function choosePart(device: Device, settings: RunSettings, progress: Progress): number {
  if (settings.microBatches !== 'auto') return settings.microBatches;
  const budget = settings.memoryBudget === null ? undefined : settings.memoryBudget * 2 ** 30;
  const choice = chooseMicroBatches(device, trainingSettings(settings, 1), budget);
  if (choice.microBatches > 1 || !choice.fits) progress.line(`memory: ${describeMicroBatches(choice)}`);
  settings.microBatches = choice.microBatches;
  return choice.microBatches;
}

function describeStep(step: TrainingStep, variables: Variables, progress: Progress): void {
  const plans = [step.plan, ...(step.updatePlan ? [step.updatePlan] : [])];
  const sum = (of: (plan: Plan) => number) => plans.reduce((total, plan) => total + of(plan), 0);
  progress.line(
    `plan: ${sum((plan) => plan.dispatchCount)} dispatches, ` +
      `${mebibytes(sum(({ memory }) => memory.transient + memory.inputs))} planned for a step ` +
      `(${mebibytes(Math.max(...plans.map(({ memory }) => memory.peak)))} at its peak), ` +
      `${mebibytes(variables.bytes)} for ${variables.parameterCount} parameters with gradients and optimizer state; ` +
      `fused: ${describeFused(plans.map(({ fused }) => fused))}; ` +
      `pipelines compiled in ${(sum((plan) => plan.compileMs) / 1000).toFixed(1)} s`,
  );
}

function epochRecord(trainer: Trainer, scores: Scores): EpochRecord {
  const { loss, gradientNorm, imagesPerSecond, waiting } = trainer.means;
  const { lossScale, skippedSteps } = trainer.state;
  return {
    epoch: trainer.state.epoch + 1,
    train_loss: loss,
    valid_loss: scores.loss,
    valid_dice: scores.dice,
    valid_iou: scores.iou,
    learning_rate: trainer.learningRate,
    images_per_second: imagesPerSecond,
    gradient_norm: gradientNorm,
    waiting,
    ...(lossScale ? { loss_scale: lossScale.scale, skipped_steps: skippedSteps } : {}),
  };
}

function epochLine(record: EpochRecord, settings: RunSettings, isBest: boolean): string {
  return (
    `epoch ${record.epoch}/${settings.epochs}: training loss ${record.train_loss.toFixed(4)}, ` +
    `validation loss ${record.valid_loss.toFixed(4)}, ` +
    `Dice ${record.valid_dice.toFixed(4)}${isBest ? ' (best so far)' : ''}, IoU ${record.valid_iou.toFixed(4)}, ` +
    `${settings.schedule.kind === 'constant' ? '' : `learning rate ${record.learning_rate.toPrecision(3)}, `}` +
    `gradient norm ${record.gradient_norm.toFixed(2)}, ${record.images_per_second.toFixed(1)} images/s, ` +
    `waiting for data ${percent(record.waiting)}` +
    (record.loss_scale === undefined ? '' : `, loss scale ${record.loss_scale}`) +
    (record.skipped_steps ? `, ${plural(record.skipped_steps, 'step')} skipped to lower it` : '')
  );
}

interface End {
  evaluator: Evaluator;
  variables: Variables;
  folder: RunFolder;
  cache: Cache;
  settings: RunSettings;
  progress: Progress;
}

/** Measures the best weights on the test photos, shows some of them, and says where everything is. */
async function finish({ evaluator, variables, folder, cache, settings, progress }: End): Promise<void> {
  const best = readCheckpoint(folder.best);
  loadWeights(variables, best, settings);
  const { validation, state } = requireInfo(best);
  const rows: Record<string, Scores> = {};
  if (validation) rows.valid = validation;
  const test = cache.indices('test');
  if (test.length > 0) {
    rows.test = await evaluator.evaluate(cache, test, settings.batchSize, (done) =>
      progress.update('test', done, test.length),
    );
  }
  progress.line(
    `\nbest weights, of epoch ${state.epoch} (Dice and IoU: means over photos, 1 where truth and prediction are empty)`,
  );
  progress.line(`${table(scoreRows(rows))}\n`);

  // Where nothing was set aside for the test, validation photos show as much.
  const shown = (test.length > 0 ? test : cache.indices('valid')).slice(0, SHOWN).map((index) => cache.samples[index]);
  const summary = await predictPhotos(
    await evaluator.step(predictionBatch(shown.length)),
    settings.size,
    shown.map(({ image, name }) => ({ file: image, name })),
    folder.predictions,
    (error) => {
      throw error;
    },
  );
  const warning = describeUniform(summary);
  if (warning) progress.warning(warning);
  progress.line(`weights:     ${folder.best}`);
  progress.line(`history:     ${folder.history}`);
  progress.line(`predictions: ${folder.predictions} (masks and overlays of ${summary.written} photos)`);
}
