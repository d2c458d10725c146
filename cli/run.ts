/** A training run: plans, epochs with validation, checkpoints, the folder that all of it goes into. */
import type { Cache } from '../data/cache.js';
import { removeAbandonedBelow } from '../data/files.js';
import type { Device } from '../engine/device.js';
import { EarlyStopping } from '../engine/earlyStopping.js';
import { describeCounts } from '../engine/fuse.js';
import { EMA_STATE } from '../engine/ops/movingAverage.js';
import type { Plan } from '../engine/plan.js';
import { Variables } from '../engine/variables.js';
import { chooseMicroBatches, describeMicroBatches } from '../nets/microBatches.js';
import { TrainingStep } from '../nets/trainingStep.js';
import {
  type Checkpoint,
  type CheckpointInfo,
  freshState,
  loadOptimizer,
  loadWeights,
  saveCheckpoint,
  type TrainingState,
} from './checkpoint.js';
import { Claim } from './claim.js';
import { trainingPhotos } from './dataLoading.js';
import { describeSession, type Environment } from './environment.js';
import { Interrupted, RunError } from './errors.js';
import { baselines, type Evaluation, Evaluator, type Scores } from './evaluation.js';
import { EpochTable } from './epochTable.js';
import { finish } from './finish.js';
import { StopRequest } from './interrupt.js';
import { Observers, observersOf } from './observers.js';
import { duration, mebibytes, type OutputFlags, type Progress } from './progress.js';
import { type EpochRecord, FILES, RunFolder } from './runFolder.js';
import type { RunLog } from './runLog.js';
import { modelSettings, type RunSettings, trainingSettings } from './settings.js';
import { Trainer } from './trainer.js';
import { tuneRun } from './tuning.js';

/** A run that goes on: its folder, its last checkpoint and what that says. */
export interface Resumed {
  folder: RunFolder;
  checkpoint: Checkpoint;
  info: CheckpointInfo;
}

export interface Job {
  device: Device;
  cache: Cache;
  settings: RunSettings;
  progress: Progress;
  log: RunLog;
  output: OutputFlags;
  /** Where the run goes: a folder, or a name in runs/. */
  place: { path?: string; name: string };
  /** Weights to start from. */
  initial?: Checkpoint;
  resumed?: Resumed;
  /** On the folder of a resumed run. */
  claim?: Claim;
  /** What stops it until it has begun. */
  early: StopRequest;
}

/** Trains to the end and measures the best weights. @throws Interrupted when the user stopped it; it can be resumed then */
export async function run(given: Job): Promise<void> {
  const { settings, progress, log, initial, resumed, cache } = given;
  const microBatches = chooseParts(given.device, settings, progress);
  const validBatch = Math.min(settings.batchSize, cache.indices('valid').length);
  const tuned = await tuneRun(given.device, settings, { parts: microBatches, validBatch }, progress);
  const { device, kernels } = tuned;
  // On another adapter a resumed run leaves its choices where they are.
  settings.tune = kernels || (resumed && settings.tune) ? FILES.kernels : null;
  const job: Job = { ...given, device };
  const variables = new Variables(device);
  progress.line('compiling the training step ...');
  const step = await TrainingStep.compile(device, variables, trainingSettings(settings, microBatches));
  describeStep(step, variables, settings, progress);
  if (initial) loadWeights(variables, initial, settings);
  if (resumed) {
    loadWeights(variables, resumed.checkpoint, settings);
    loadOptimizer(variables, resumed.checkpoint, step.stateNames);
    if (resumed.info.state.lossScale) step.restoreLossScale(resumed.info.state.lossScale);
  }
  await showBaselines(job);

  const state = { ...freshState(), ...resumed?.info.state };
  // Before the folder: it refuses a schedule that does not fit the run.
  const trainer = new Trainer(step, job.cache, settings, state, progress);
  const folder = resumed?.folder ?? RunFolder.create(job.place);
  const claim = job.claim ?? Claim.take(folder.path);
  job.early.dispose();
  const stop = new StopRequest(() => progress.line('stopping after this step; once more ends at once'));
  try {
    log.open(folder.file('log'));
    if (kernels && !resumed) folder.writeJson('kernels', kernels);
    await new Run(job, variables, step, trainer, folder, claim, stop).train();
  } catch (error) {
    if (!(error instanceof Interrupted || error instanceof RunError)) {
      progress.warning(`the run has ended too soon; when the cause is gone, go on with: trimap resume ${folder.path}`);
    }
    throw error;
  } finally {
    stop.dispose();
    claim.release();
    step.destroy();
    variables.destroy();
  }
}

class Run {
  private readonly state: TrainingState;
  private readonly evaluator: Evaluator;
  private readonly history: EpochRecord[];
  private readonly photos: string;
  private readonly stopping?: EarlyStopping;
  private readonly observers: Observers;
  private readonly environment: Environment;
  private readonly table: EpochTable;
  private savedAt = performance.now();

  constructor(
    private readonly job: Job,
    private readonly variables: Variables,
    private readonly step: TrainingStep,
    private readonly trainer: Trainer,
    private readonly folder: RunFolder,
    private readonly claim: Claim,
    private readonly stop: StopRequest,
  ) {
    const { device, cache, settings, progress, resumed } = job;
    this.state = trainer.state;
    this.table = new EpochTable(settings.epochs, progress);
    this.history = folder.readHistory(this.state.epoch);
    this.photos = trainingPhotos(cache);
    this.evaluator = new Evaluator(device, variables, {
      ...modelSettings(settings),
      averagedWeights: settings.ema !== null,
    });
    trainer.onStep = (event) => this.observers.step(event);
    const { earlyStopping: patience } = settings;
    if (patience !== null) this.stopping = new EarlyStopping({ patience, minimumImprovement: 0 });
    if (this.stopping && this.state.earlyStopping) this.stopping.state = this.state.earlyStopping;
    const session = describeSession(device);
    const before = resumed && folder.readJson<Environment>('environment');
    this.environment = before
      ? { ...before, ended: null, resumed: [...before.resumed, session] }
      : { ...session, ended: null, resumed: [] };
    this.observers = new Observers(observersOf(settings, job.output), {
      folder,
      settings,
      environment: this.environment,
      cache,
      evaluator: this.evaluator,
      history: this.history,
      batchesPerEpoch: this.trainer.batchesPerEpoch,
      progress,
    });
  }

  async train(): Promise<void> {
    const { state, stop, job, trainer, evaluator, observers } = this;
    const { settings, progress } = job;
    await this.begin();
    const started = performance.now();
    const firstStep = state.step;
    try {
      const save = {
        isDue: () => performance.now() - this.savedAt >= settings.saveEvery * 1000,
        now: () => this.saveLast(null),
      };
      while (state.epoch < settings.epochs && !this.stopping?.stopped) {
        if (!(await trainer.trainEpoch(() => stop.requested, save))) throw new Interrupted();
        await this.endEpoch(await this.validate());
      }
      if (state.step > firstStep) {
        const since = job.resumed ? ' since it was resumed' : '';
        progress.line(`training took ${duration((performance.now() - started) / 1000)}${since}`);
      }
      if (this.stopping?.stopped) {
        progress.line(`stopped early: ${settings.earlyStopping} epochs without a better validation Dice`);
      }
      const { cache, device } = job;
      const check = () => {
        if (stop.requested) throw new Interrupted();
      };
      const { variables, folder } = this;
      await finish({ device, variables, folder, cache, settings, progress, observers, check });
      this.environment.ended = new Date().toISOString();
      folder.writeJson('environment', this.environment);
    } catch (error) {
      throw error instanceof Interrupted ? await this.interrupted() : error;
    } finally {
      evaluator.destroy();
    }
  }

  /** Writes what is known before the first step; from here on the run can be resumed. */
  private async begin(): Promise<void> {
    const { folder, job, history, observers } = this;
    const { cache, settings, progress, resumed } = job;
    removeAbandonedBelow(folder.path);
    folder.writeJson('settings', settings);
    folder.writeJson('environment', this.environment);
    const names = (split: 'train' | 'valid' | 'test') => cache.indices(split).map((index) => cache.samples[index].name);
    folder.writeJson('split', { train: names('train'), valid: names('valid'), test: names('test') });
    folder.writeHistory(history);
    if (!resumed) await this.saveLast(null);
    progress.line(`run: ${folder.path}`);
    await observers.started();
  }

  /** @throws Interrupted when the user asks to stop meanwhile */
  private async validate(): Promise<Evaluation> {
    const { cache, settings, progress } = this.job;
    const valid = cache.indices('valid');
    const started = performance.now();
    const evaluation = await this.evaluator.evaluate(cache, valid, settings.batchSize, (done) => {
      if (this.stop.requested) throw new Interrupted();
      progress.update('validation', done, valid.length);
    });
    this.state.wallSeconds += (performance.now() - started) / 1000;
    return evaluation;
  }

  /** Takes the epoch's scores into the history and the checkpoints. */
  private async endEpoch(validation: Evaluation): Promise<void> {
    const { state, trainer, stopping, history, folder } = this;
    const { scores } = validation;
    const record = this.record(validation);
    trainer.finishEpoch();
    const isBest = scores.dice > (state.best?.dice ?? -Infinity);
    if (isBest) state.best = { epoch: state.epoch, dice: scores.dice };
    trainer.observe(scores.dice);
    stopping?.observe(scores.dice);
    if (stopping) state.earlyStopping = stopping.state;
    history.push(record);
    folder.writeHistory(history);
    if (isBest) await this.saveBest(scores);
    await this.saveLast(scores);
    this.table.add(record, isBest);
    await this.observers.epoch({ record, isBest, validation });
  }

  private record({ scores, bytes }: Evaluation): EpochRecord {
    const { trainer, step, variables, state } = this;
    const { loss, dice, gradientNorm, imagesPerSecond, waiting } = trainer.means;
    return {
      epoch: state.epoch + 1,
      train_loss_augmented: loss,
      train_dice_augmented: dice,
      valid_loss: scores.loss,
      valid_dice: scores.dice,
      valid_iou: scores.iou,
      learning_rate: trainer.learningRate,
      gradient_norm: gradientNorm,
      ...(state.lossScale ? { loss_scale: state.lossScale.scale, skipped_steps: state.skippedSteps } : {}),
      images_per_second: imagesPerSecond,
      waiting,
      peak_bytes: sum(plansOf(step), heldBytes) + variables.bytes + bytes,
      seconds: state.wallSeconds,
    };
  }

  private info(validation: Scores | null): CheckpointInfo {
    return { settings: this.job.settings, state: { ...this.state }, validation, trainingPhotos: this.photos };
  }

  private async saveLast(scores: Scores | null): Promise<void> {
    await saveCheckpoint(this.folder.file('last'), this.variables, this.step.stateNames, this.info(scores));
    this.claim.renew();
    this.savedAt = performance.now();
  }

  private async saveBest(scores: Scores): Promise<void> {
    const weights = this.job.settings.ema === null ? undefined : EMA_STATE;
    await saveCheckpoint(this.folder.file('best'), this.variables, [], this.info(scores), weights);
  }

  private async interrupted(): Promise<Interrupted> {
    const { state, folder, trainer, job } = this;
    // What is measured at the end needs other weights; the last ones were saved before.
    const trained = state.epoch >= job.settings.epochs || this.stopping?.stopped;
    if (!trained) await this.saveLast(null);
    await this.observers.stopped();
    const where = trained
      ? 'after the last epoch, before the best weights were measured'
      : `in epoch ${state.epoch + 1} after ${state.batch} of ${trainer.batchesPerEpoch} batches`;
    return new Interrupted(`stopped ${where}; go on with: trimap resume ${folder.path}`);
  }
}

async function showBaselines({ cache, settings, progress }: Job): Promise<void> {
  const scores = await baselines(cache, cache.indices('valid'), settings.border);
  for (const [predicted, { dice, iou }] of Object.entries(scores)) {
    progress.line(
      `baseline: predicting all ${predicted} has validation Dice ${dice.toFixed(4)}, IoU ${iou.toFixed(4)}`,
    );
  }
}

/** The parts that a batch is run in, as asked for or as few as fit; says so where it is more than one. */
export function chooseParts(device: Device, settings: RunSettings, progress: Progress): number {
  if (settings.microBatches !== 'auto') return settings.microBatches;
  const budget = settings.memoryBudget === null ? undefined : settings.memoryBudget * 2 ** 30;
  const choice = chooseMicroBatches(device, trainingSettings(settings, 1), budget);
  if (choice.microBatches > 1 || !choice.fits) progress.line(`memory: ${describeMicroBatches(choice)}`);
  settings.microBatches = choice.microBatches;
  return choice.microBatches;
}

const plansOf = ({ plan, updatePlan }: TrainingStep): Plan[] => [plan, ...(updatePlan ? [updatePlan] : [])];

const heldBytes = ({ memory }: Plan): number => memory.transient + memory.inputs;

const sum = (plans: readonly Plan[], of: (plan: Plan) => number) => plans.reduce((total, plan) => total + of(plan), 0);

export function describeStep(
  step: TrainingStep,
  variables: Variables,
  settings: RunSettings,
  progress: Progress,
): void {
  const plans = plansOf(step);
  progress.line(
    `plan: ${sum(plans, (plan) => plan.dispatchCount)} dispatches, ` +
      `${mebibytes(sum(plans, heldBytes))} planned for a step ` +
      `(${mebibytes(Math.max(...plans.map(({ memory }) => memory.peak)))} at its peak), ` +
      `${mebibytes(variables.bytes)} for ${variables.parameterCount} parameters with gradients and optimizer state; ` +
      `fused: ${describeCounts(plans.map(({ fused }) => fused))}; ` +
      (settings.checkpointActivations
        ? `computed again: ${describeCounts(plans.map(({ recomputed }) => recomputed))}; `
        : '') +
      `pipelines compiled in ${(sum(plans, (plan) => plan.compileMs) / 1000).toFixed(1)} s`,
  );
}
