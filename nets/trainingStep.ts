/** The training step, from packed photos to new weights. */
import type { PlanOptions } from '../engine/arrange.js';
import type { ImageStatistics } from '../engine/augmentation.js';
import { gradients } from '../engine/autograd.js';
import type { Device } from '../engine/device.js';
import { Graph, type Tensor } from '../engine/graph.js';
import { LossScale, type LossScaleState } from '../engine/lossScale.js';
import type { NonFinite } from '../engine/numerics.js';
import { type Accumulation, accumulateGradients } from '../engine/ops/accumulateGradients.js';
import { dropoutMask } from '../engine/ops/dropout2d.js';
import { EMA_STATE, movingAverage, movingAverageDecay } from '../engine/ops/movingAverage.js';
import { segmentationCounts } from '../engine/ops/segmentationCounts.js';
import { createOptimizer, type Optimizer, type OptimizerSettings, placeGradients } from '../engine/optimizers.js';
import { Plan } from '../engine/plan.js';
import { SettingsError } from '../engine/settings.js';
import type { Variables } from '../engine/variables.js';
import { NetContext } from './context.js';
import { recordLoss } from './losses.js';
import {
  foregroundLogits,
  type ImageInputs,
  imageInputs,
  isIgnoring,
  type ModelSettings,
  type Recorded,
  recordNetwork,
} from './model.js';

export interface TrainingSettings extends ModelSettings {
  /** Images of one update. */
  batch: number;
  /**
   * Parts of the batch that are run one after the other, their gradients added up: memory for a part instead of the whole.
   * Batch norm's statistics are then those of a part. Default 1.
   */
  microBatches?: number;
  optimizer: OptimizerSettings;
  /** Largest global norm of the gradients; undefined leaves them as they are. */
  clipNorm?: number;
  /** What the augmentation needs (`augmentationStatistics`); default what report 3's does, one mean. */
  statistics?: ImageStatistics;
  /** Decay of an exponential moving average of the weights, kept beside them; undefined keeps none. */
  ema?: number;
  /** Makes `nonFinite` work. */
  checkNumerics?: boolean;
  /** See `PlanOptions.checkpointActivations`. */
  checkpointActivations?: boolean;
}

/** What a training step's plans are made with. */
export const planOptions = ({
  fuse,
  checkNumerics,
  checkpointActivations,
}: TrainingSettings): Omit<PlanOptions, 'outputs'> => ({ fuse, checkNumerics, checkpointActivations });

/** What a step says of itself. */
export interface StepResult {
  loss: number;
  /** Before clipping and without the loss scale. With one, a norm that is not finite means that the step was skipped. */
  gradientNorm: number;
  /**
   * Of the net's predictions for these images, augmented as they were, before the update: counts of each image (see
   * `segmentationCounts`). A small pass over the logits; a pass over the training photos without augmentation would cost
   * another epoch.
   */
  counts: Float32Array;
  /** After the step; of training with f16. */
  lossScale?: LossScaleState;
}

/** What a training step is made of, before any of it is compiled. */
export interface RecordedTraining {
  optimizer: Optimizer;
  /** From the photos to the gradients and, when the batch is one part, to the new weights. */
  pass: Recorded;
  /** From the gradients of several parts to the new weights. */
  update?: Recorded;
  inputs: ImageInputs;
  /** The seed of differentiation. */
  one: Tensor;
  dropoutSeed?: Tensor;
  hyper: Tensor;
  emaDecay?: Tensor;
  accumulation?: Accumulation;
  lossScale?: LossScale;
  loss: Tensor;
  norm: Tensor;
  /** Of the images of one part. */
  counts: Tensor;
}

/**
 * Records a training step without compiling it, so that its memory can be asked for (`planMemory`).
 * @throws SettingsError when micro-batches do not divide the batch, or settings contradict each other
 */
export function recordTraining(variables: Variables, settings: TrainingSettings): RecordedTraining {
  const { batch, microBatches = 1, seed, clipNorm, ema, statistics = { means: 1 } } = settings;
  if (!(Number.isInteger(microBatches) && microBatches >= 1 && batch % microBatches === 0)) {
    throw new SettingsError(
      `microBatches: ${microBatches} parts of a batch of ${batch}; a divisor of the batch is needed`,
    );
  }
  if (ema !== undefined && !(ema > 0 && ema < 1))
    throw new SettingsError(`ema: ${ema}; the decay lies between 0 and 1`);
  const images = batch / microBatches;
  const graph = new Graph();
  const inputs = imageInputs(graph, images, settings, statistics);
  let dropoutSeed: Tensor | undefined;
  const net = new NetContext(graph, variables, true, seed, settings.initialisation, (channels, p) => {
    dropoutSeed = graph.input('dropout seed', [microBatches > 1 ? 3 : 2], 'words');
    return dropoutMask(dropoutSeed, [images, channels], p, 0);
  });
  const logits = recordNetwork(net, inputs.image, settings);
  const loss = recordLoss(logits, inputs.target, settings.loss, { ignoring: isIgnoring(settings) });
  const counts = segmentationCounts(foregroundLogits(logits), inputs.target, { threshold: 0 });
  const { parameters } = variables;
  const one = graph.input('one', [1], 'vector');
  const lossScale = settings.precision === 'f16' ? new LossScale(variables.device) : undefined;
  const made = gradients(
    [loss],
    [lossScale?.seed(one) ?? one],
    parameters.map((parameter) => graph.read(parameter)),
  );
  const optimizer = createOptimizer(settings.optimizer, variables);
  const common = { optimizer, inputs, one, dropoutSeed, lossScale, counts };
  if (microBatches === 1) {
    const { norm, hyper } = optimizer.step(graph, parameters, made, { clipNorm, lossScale });
    const emaDecay = ema === undefined ? undefined : movingAverage(graph, variables);
    return { ...common, pass: { graph, outputs: [loss, norm, counts] }, hyper, emaDecay, loss, norm };
  }
  const placed = placeGradients(graph, variables, parameters, made);
  const accumulation = accumulateGradients(variables, placed, loss);
  const update = new Graph();
  const { norm, hyper } = optimizer.update(update, [], { clipNorm, lossScale });
  const emaDecay = ema === undefined ? undefined : movingAverage(update, variables);
  return {
    ...common,
    pass: { graph, outputs: [counts] },
    update: { graph: update, outputs: [norm] },
    hyper,
    emaDecay,
    accumulation,
    loss: accumulation.loss,
    norm,
  };
}

/**
 * Augments, runs the net forward and backward, clips and updates: one plan, replayed for every batch. With micro-batches it
 * is a plan that is run for each of them and adds up gradients, and a second one that updates.
 */
export class TrainingStep {
  readonly optimizer: Optimizer;
  /** Arenas that a checkpoint has to hold so that training can go on: the optimizer's, and the averaged weights. */
  readonly stateNames: readonly string[];
  readonly microBatches: number;
  /** Counts of the parts of the step submitted last but for its last part, which the plan still holds. */
  private countsOfParts: Promise<Float32Array>[] = [];

  private constructor(
    private readonly settings: TrainingSettings,
    private readonly recorded: RecordedTraining,
    /** What runs for each micro-batch. */
    readonly plan: Plan,
    /** What runs once a step after them, when they are several. */
    readonly updatePlan: Plan | undefined,
  ) {
    this.optimizer = recorded.optimizer;
    this.stateNames = [...recorded.optimizer.stateNames, ...(recorded.emaDecay ? EMA_STATE : [])];
    this.microBatches = settings.microBatches ?? 1;
  }

  static async compile(device: Device, variables: Variables, settings: TrainingSettings): Promise<TrainingStep> {
    const recorded = recordTraining(variables, settings);
    const compile = ({ graph, outputs }: Recorded) =>
      Plan.compile(device, graph, { outputs, ...planOptions(settings) });
    const plan = await compile(recorded.pass);
    plan.write(recorded.one, [1 / (settings.microBatches ?? 1)]);
    const updatePlan = recorded.update && (await compile(recorded.update));
    return new TrainingStep(settings, recorded, plan, updatePlan);
  }

  /**
   * Submits one step.
   * @param pixels batch * size * size * 4 bytes
   * @param parameters `augmentationFloats` numbers an image
   * @param step counts from 1 over the whole run
   * @throws Error for a learning rate or step out of range; nothing is submitted then
   */
  run(pixels: Uint8Array, parameters: Float32Array, learningRate: number, step: number): void {
    const { plan, updatePlan, microBatches: parts, optimizer, settings } = this;
    const { inputs, dropoutSeed, accumulation, hyper, emaDecay } = this.recorded;
    const values = optimizer.hyperValues(learningRate, step);
    // Only the update reads these, and the adapter has work until then.
    const meanwhile = () => {
      const last = updatePlan ?? plan;
      last.write(hyper, values);
      if (emaDecay) last.write(emaDecay, [movingAverageDecay(settings.ema!, step)]);
    };
    this.countsOfParts = [];
    for (let part = 0; part < parts; part++) {
      if (part > 0) this.countsOfParts.push(this.readCounts());
      plan.write(inputs.pixels, partOf(pixels, part, parts));
      plan.write(inputs.parameters, partOf(parameters, part, parts));
      if (dropoutSeed) plan.write(dropoutSeed, parts > 1 ? [settings.seed, step, part] : [settings.seed, step]);
      if (accumulation) plan.write(accumulation.control, [part === 0 ? 0 : 1, 1 / parts]);
      plan.run({ goOn: part > 0, meanwhile: part === parts - 1 ? meanwhile : undefined });
    }
    updatePlan?.run();
  }

  /** Of the step submitted last. */
  async result(): Promise<StepResult> {
    const { plan, updatePlan, countsOfParts } = this;
    const { loss, norm, counts, lossScale, pass, update = pass } = this.recorded;
    const after = lossScale ? [norm, lossScale.tensor(update.graph)] : [norm];
    if (!updatePlan) {
      const [[lossValue], own, [gradientNorm], state] = await plan.read(loss, counts, ...after);
      return { loss: lossValue, gradientNorm, counts: own, lossScale: state && LossScale.read(state) };
    }
    const [[[lossValue], last], [[gradientNorm], state], ...parts] = await Promise.all([
      plan.read(loss, counts),
      updatePlan.read(...after),
      ...countsOfParts,
    ]);
    return {
      loss: lossValue,
      gradientNorm,
      counts: Float32Array.from([...parts, last].flatMap((part) => [...part])),
      lossScale: state && LossScale.read(state),
    };
  }

  private readCounts(): Promise<Float32Array> {
    const counts = this.plan.read(this.recorded.counts).then(([values]) => values);
    // Awaited by `result`; should the device be lost before, nobody waits for it.
    counts.catch(() => {});
    return counts;
  }

  /** Goes on with the loss scale of another training. */
  restoreLossScale(state: LossScaleState): void {
    this.recorded.lossScale?.restore(state);
  }

  /**
   * The first op of the step submitted last with a result that is not finite; undefined when there is none.
   * @throws Error unless the step was compiled with `checkNumerics`
   */
  async nonFinite(): Promise<NonFinite | undefined> {
    return (await this.plan.firstNonFinite()) ?? (await this.updatePlan?.firstNonFinite());
  }

  destroy(): void {
    this.plan.destroy();
    this.updatePlan?.destroy();
    this.recorded.lossScale?.destroy();
  }
}

function partOf<T extends Uint8Array | Float32Array>(values: T, part: number, parts: number): T {
  const length = values.length / parts;
  return values.subarray(part * length, (part + 1) * length) as T;
}
