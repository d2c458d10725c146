/** The training loop: one epoch at a time, from wherever the state says. */
import { augmentationFloats, sampleAugmentation } from '../data/augment.js';
import { type Batch, Batches } from '../data/batches.js';
import type { Cache } from '../data/cache.js';
import { dice, readCounts } from '../engine/metrics.js';
import { describeNonFinite } from '../engine/numerics.js';
import { createSchedule, type RunSchedule } from '../engine/schedules.js';
import type { StepResult, TrainingStep } from '../nets/trainingStep.js';
import { freshState, type TrainingState } from './checkpoint.js';
import { RunError } from './errors.js';
import type { StepEvent } from './observers.js';
import { duration, type Progress } from './progress.js';
import type { RunSettings } from './settings.js';

/** Gradients of a sound step that overflow at this loss scale are 2^26 times those that scales begin with. */
const SMALLEST_SCALE = 2 ** -10;

interface Submitted {
  step: number;
  names: readonly string[];
  result: Promise<StepResult>;
}

export class Trainer {
  /** Told of each step whose result is known. */
  onStep?: (event: StepEvent) => void;

  private readonly indices: number[];
  private readonly schedule: RunSchedule;
  /**
   * How long the first step of this process took. Drivers compile kernels when they are first used, which can take many
   * times the step itself, so it is left out of the rates.
   */
  private firstSeconds?: number;
  /** Images and seconds of the other steps of this process, for the time that is left. */
  private images = 0;
  private seconds = 0;

  constructor(
    private readonly step: TrainingStep,
    private readonly cache: Cache,
    private readonly settings: RunSettings,
    readonly state: TrainingState,
    private readonly progress: Progress,
  ) {
    this.indices = cache.indices('train');
    const length = { epochs: settings.epochs, stepsPerEpoch: this.batchesPerEpoch };
    this.schedule = createSchedule(settings.schedule, settings.learningRate, length);
    this.schedule.state = state.schedule;
  }

  /** Of the step done last. */
  get learningRate(): number {
    return this.schedule.rate(this.state.epoch, Math.max(0, this.state.step - 1));
  }

  /** Batches in an epoch; the last one is filled up from the epoch's beginning. */
  get batchesPerEpoch(): number {
    return Math.ceil(this.indices.length / this.settings.batchSize);
  }

  /**
   * Trains to the end of the epoch after `state.epoch`, or until `stop` says so after a step. One step is always under way
   * while the result of the one before is looked at, so that the device does not wait for the host. Where `save` is due,
   * it is called with no step under way: the variables are then those of `state`.
   * @returns whether the epoch's batches are all done
   * @throws RunError at the first loss or gradient norm that is not finite
   */
  async trainEpoch(stop: () => boolean, save: { isDue(): boolean; now(): Promise<void> }): Promise<boolean> {
    const { state, settings, batchesPerEpoch } = this;
    const epoch = state.epoch + 1;
    const batches = new Batches(this.cache, {
      batchSize: settings.batchSize,
      indices: this.indices,
      shuffle: { seed: settings.seed, epoch },
      last: 'wrap',
      skip: state.batch,
    });
    let settled = performance.now();
    let waited = 0;
    let submitted: Submitted | undefined;
    const settle = async (one: Submitted) => {
      const event = await this.settle(one);
      const now = performance.now();
      this.time((now - settled) / 1000, (batches.waitedMs - waited) / 1000);
      settled = now;
      waited = batches.waitedMs;
      this.onStep?.(event);
      this.show(epoch);
    };
    const settleLast = async () => {
      if (submitted) await settle(submitted);
      submitted = undefined;
    };
    // These two look at a step before the next one is under way.
    const oneByOne = settings.checkNumerics || this.schedule.observes === 'step';
    try {
      while (!stop()) {
        const batch = await batches.next();
        if (!batch) break;
        const previous = submitted;
        submitted = this.submit(batch, epoch, state.step + (previous ? 2 : 1));
        if (previous) await settle(previous);
        if (oneByOne) await settleLast();
        if (!save.isDue()) continue;
        await settleLast();
        await save.now();
        settled = performance.now();
      }
      await settleLast();
    } finally {
      await batches.close();
    }
    return state.batch === batchesPerEpoch;
  }

  /** The means over the epoch whose batches are done. */
  get means(): { loss: number; dice: number; gradientNorm: number; imagesPerSecond: number; waiting: number } {
    const { lossSum, diceSum, gradientNormSum, skippedSteps, batch, images, seconds, waitedSeconds } = this.state;
    // An epoch of a single step has no other.
    const timed = images > 0;
    return {
      loss: lossSum / batch,
      dice: diceSum / (batch * this.settings.batchSize),
      gradientNorm: gradientNormSum / (batch - skippedSteps),
      imagesPerSecond: timed ? images / seconds : this.settings.batchSize / (this.firstSeconds ?? Infinity),
      waiting: timed ? waitedSeconds / seconds : 0,
    };
  }

  /** Goes on to the next epoch. */
  finishEpoch(): void {
    const { epoch, step, best, schedule, earlyStopping, lossScale } = this.state;
    Object.assign(this.state, { ...freshState(), epoch: epoch + 1, step, best, schedule, earlyStopping, lossScale });
  }

  /** Tells a schedule that follows the scores how the epoch ended. */
  observe(validationDice: number): void {
    if (this.schedule.observes === 'epoch') this.tellSchedule(validationDice);
  }

  private tellSchedule(score: number): void {
    this.schedule.observe(score);
    this.state.schedule = this.schedule.state;
  }

  private submit(batch: Batch, epoch: number, step: number): Submitted {
    const { seed, size, augmentation } = this.settings;
    const parameters = new Float32Array(batch.indices.length * augmentationFloats);
    batch.indices.forEach((index, i) => {
      parameters.set(sampleAugmentation(augmentation, seed, epoch, index, size, size), i * augmentationFloats);
    });
    this.step.run(batch.pixels, parameters, this.schedule.rate(epoch - 1, step - 1), step);
    // Asked for now: it is the copy behind this step, not behind the next one, that is wanted.
    const result = this.step.result();
    // It is awaited one step later; should the run end before, nobody waits for it.
    result.catch(() => {});
    return { step, names: batch.names, result };
  }

  private async settle({ step, names, result }: Submitted): Promise<StepEvent> {
    const { loss, gradientNorm, counts, lossScale } = await result;
    const { state, settings } = this;
    const learningRate = this.schedule.rate(state.epoch, step - 1);
    const found = settings.checkNumerics ? await this.step.nonFinite() : undefined;
    // With f16 gradients may overflow until the loss scale is small enough; then only the step does not count.
    const overflow = lossScale !== undefined && Number.isFinite(loss) && !Number.isFinite(gradientNorm);
    const skipped = overflow && lossScale.scale >= SMALLEST_SCALE;
    if (!skipped && (found || !Number.isFinite(loss) || !Number.isFinite(gradientNorm))) {
      const f32 =
        lossScale && !settings.checkNumerics ? ', --precision f32 should numbers above 65504 be the cause' : '';
      const advice = settings.checkNumerics ? '' : `${f32}, or --check-numerics to see where it begins`;
      throw new RunError(
        `step ${step}: ${found ? `${describeNonFinite(found)}; ` : ''}the loss is ${loss} and the norm of the gradients ` +
          `${gradientNorm} at learning rate ${learningRate}; ` +
          `photos of this step: ${names.join(', ')}. Checkpoints of earlier epochs are kept; try a smaller --learning-rate${advice}`,
      );
    }
    state.step = step;
    state.batch++;
    state.lossSum += loss;
    if (skipped) state.skippedSteps++;
    else state.gradientNormSum += gradientNorm;
    if (lossScale) state.lossScale = lossScale;
    if (skipped && found) this.progress.line(`step ${step} skipped: ${describeNonFinite(found)}`);
    const diceSum = readCounts(counts).reduce((sum, image) => sum + dice(image), 0);
    state.diceSum += diceSum;
    if (this.schedule.observes === 'step') this.tellSchedule(loss);
    const event = { epoch: state.epoch + 1, batch: state.batch, step, loss, learningRate, gradientNorm };
    return { ...event, dice: diceSum / settings.batchSize };
  }

  /** Counts the time since the result before. */
  private time(seconds: number, waitedSeconds: number): void {
    this.state.wallSeconds += seconds;
    if (this.firstSeconds === undefined) {
      this.firstSeconds = seconds;
      this.progress.line(`first step: ${seconds.toFixed(1)} s, in which the driver gets its kernels ready`);
      return;
    }
    const { state, settings } = this;
    state.images += settings.batchSize;
    state.seconds += seconds;
    state.waitedSeconds += waitedSeconds;
    this.images += settings.batchSize;
    this.seconds += seconds;
  }

  private show(epoch: number): void {
    const { state, settings, batchesPerEpoch } = this;
    this.progress.update(`epoch ${epoch}/${settings.epochs}, step`, state.batch, batchesPerEpoch, () => {
      const { loss, dice } = this.means;
      const quality = [`loss ${loss.toFixed(4)}`, `Dice ${dice.toFixed(4)}`];
      if (this.images === 0 || state.images === 0) return quality;
      const perSecond = this.images / this.seconds;
      const batchesLeft = (settings.epochs - state.epoch) * batchesPerEpoch - state.batch;
      return [
        ...quality,
        `${perSecond.toFixed(1)} images/s`,
        `${duration((batchesLeft * settings.batchSize) / perSecond)} left`,
        `waiting ${((100 * state.waitedSeconds) / state.seconds).toFixed(0)} %`,
      ];
    });
  }
}
