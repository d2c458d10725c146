/** The two steps of a run, training and evaluation, both from packed photos. */
import { augmentationFloats, type ImageStatistics } from '../engine/augmentation.js';
import { gradients } from '../engine/autograd.js';
import type { Device } from '../engine/device.js';
import { Graph, type Tensor } from '../engine/graph.js';
import type { Dtype } from '../engine/layout.js';
import { LossScale, type LossScaleState } from '../engine/lossScale.js';
import type { NonFinite } from '../engine/numerics.js';
import { type Accumulation, accumulateGradients } from '../engine/ops/accumulateGradients.js';
import { add } from '../engine/ops/add.js';
import { augmentImages, type Normalisation } from '../engine/ops/augmentImages.js';
import { boundaryCounts } from '../engine/ops/boundaryCounts.js';
import { cast } from '../engine/ops/cast.js';
import { channelSlice } from '../engine/ops/channelSlice.js';
import { dropoutMask } from '../engine/ops/dropout2d.js';
import { EMA, EMA_STATE, movingAverage, movingAverageDecay } from '../engine/ops/movingAverage.js';
import { diceSums } from '../engine/ops/overlapLoss.js';
import { scale } from '../engine/ops/scale.js';
import { segmentationCounts } from '../engine/ops/segmentationCounts.js';
import { sigmoid } from '../engine/ops/sigmoid.js';
import { thresholdCounts, type ThresholdGrid } from '../engine/ops/thresholdCounts.js';
import { createOptimizer, type Optimizer, type OptimizerSettings, placeGradients } from '../engine/optimizers.js';
import type { PlanOptions } from '../engine/arrange.js';
import { Plan } from '../engine/plan.js';
import { SettingsError } from '../engine/settings.js';
import type { Variables } from '../engine/variables.js';
import { type Initialisation, NetContext } from './context.js';
import { checkLossClasses, lossClasses, type LossName, type LossSettings, recordLoss, resolveLoss } from './losses.js';
import { buildNetwork, type NetworkName, networks } from './networks.js';

/** Red, green, blue of ImageNet's photos, as PyTorch's model zoo gives them, for values in 0 .. 1. */
export const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** What both steps have to agree on. */
export interface ModelSettings {
  net: NetworkName;
  baseWidth: number;
  /** Height and width of the images, pixels. */
  size: number;
  loss: LossName | LossSettings;
  /** Channels of the logits; what the loss works on (`lossClasses`) where it is not given. */
  classes?: number;
  seed: number;
  initialisation: Initialisation;
  /** Mean and standard deviation that the net's input is normalised with, for values in 0 .. 1. Default ImageNet's. */
  normalisation?: Normalisation;
  /** Mask bytes that are foreground, among 0, 1 (object) and 2 (border). Default 1 and 2. */
  foreground?: readonly number[];
  /** Mask bytes whose pixels neither the loss nor any count has. Default none. */
  ignored?: readonly number[];
  /** See `PlanOptions.fuse`. */
  fuse?: boolean;
  /**
   * How the net's activations and their gradients are stored. Weights, batch norm's statistics, losses and all sums are f32
   * either way; training with f16 has a dynamic loss scale (`engine/lossScale.ts`). Default f32.
   */
  precision?: Dtype;
}

/** Pixels of a batch: one u32 a pixel (bytes R, G, B, M), and the augmentation parameters of each image. */
interface ImageInputs {
  pixels: Tensor;
  parameters: Tensor;
  image: Tensor;
  target: Tensor;
}

function imageInputs(
  graph: Graph,
  batch: number,
  { size, normalisation = IMAGENET, foreground, ignored }: ModelSettings,
  statistics?: ImageStatistics,
): ImageInputs {
  const pixels = graph.input('pixels', [batch, size, size], 'words');
  const parameters = graph.input('augmentation', [batch, augmentationFloats, 1, 1]);
  const { image, mask } = augmentImages(pixels, parameters, { ...normalisation, statistics, foreground, ignored });
  return { pixels, parameters, image, target: mask };
}

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

/** A graph and what is read from its plan. */
interface Recorded {
  graph: Graph;
  outputs: readonly Tensor[];
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

/** @throws SettingsError when loss and classes do not fit each other */
function recordNetwork(net: NetContext, image: Tensor, settings: ModelSettings): Tensor {
  const loss = resolveLoss(settings.loss);
  const { classes = lossClasses(loss.name), precision = 'f32' } = settings;
  checkLossClasses(loss, classes);
  const options = { width: settings.baseWidth, classes };
  return cast(buildNetwork(net, cast(image, precision), networks[settings.net], options), 'f32');
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
   */
  run(pixels: Uint8Array, parameters: Float32Array, learningRate: number, step: number): void {
    const { plan, updatePlan, microBatches: parts, optimizer, settings } = this;
    const { inputs, dropoutSeed, accumulation, hyper, emaDecay } = this.recorded;
    // Only the update reads these, and the adapter has work until then.
    const meanwhile = () => {
      const last = updatePlan ?? plan;
      last.write(hyper, optimizer.hyperValues(learningRate, step));
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

export interface EvaluationSettings extends ModelSettings {
  batch: number;
  /** Evaluates the moving average of the weights instead of the weights. */
  averagedWeights?: boolean;
  /** The logit above which a pixel is foreground. Default 0, probability one half. */
  threshold?: number;
  /** Also counts boundary pixels, for the boundary F-score at 2 pixels. */
  boundary?: boolean;
  /** Also sums probabilities, for the reports' soft Dice. */
  softSums?: boolean;
  /** Also counts at these thresholds, to fit one (`engine/thresholdFit.ts`). */
  thresholds?: ThresholdGrid;
}

export interface EvaluationResult {
  /** Mean of the batch. */
  loss: number;
  /** Of each image: see `segmentationCounts`. */
  counts: Float32Array;
  /** Of each image, where asked for: see `boundaryCounts`. */
  boundary?: Float32Array;
  /** Of the batch, where asked for: see `diceSums`. */
  softSums?: Float32Array;
  /** Of each image, where asked for: see `thresholdCounts`. */
  thresholdCounts?: Float32Array;
}

const isIgnoring = ({ ignored = [] }: ModelSettings): boolean => ignored.length > 0;

/** One logit a pixel: of two classes the second one's over the first one's, so that softmax becomes a sigmoid. */
function foregroundLogits(logits: Tensor): Tensor {
  if (logits.shape[1] === 1) return logits;
  return add(channelSlice(logits, 1, 1), scale(channelSlice(logits, 0, 1), -1));
}

/** What an evaluation step is made of, before any of it is compiled. */
interface RecordedEvaluation {
  pass: Recorded;
  inputs: ImageInputs;
  logits: Tensor;
  results: { loss: Tensor; counts: Tensor } & Partial<Record<keyof EvaluationResult, Tensor>>;
}

/** @throws SettingsError when settings contradict each other */
export function recordEvaluation(variables: Variables, settings: EvaluationSettings): RecordedEvaluation {
  const { batch, threshold = 0, thresholds } = settings;
  if (settings.boundary && isIgnoring(settings)) {
    throw new SettingsError('boundary: it cannot be found where pixels are ignored');
  }
  const graph = new Graph();
  const inputs = imageInputs(graph, batch, settings);
  const { target } = inputs;
  const net = new NetContext(graph, variables, false, settings.seed, settings.initialisation);
  const recorded = recordNetwork(net, inputs.image, settings);
  const loss = recordLoss(recorded, target, settings.loss, { ignoring: isIgnoring(settings) });
  const logits = foregroundLogits(recorded);
  const results = {
    loss,
    counts: segmentationCounts(logits, target, { threshold }),
    ...(settings.boundary ? { boundary: boundaryCounts(logits, target, { threshold }) } : {}),
    ...(settings.softSums ? { softSums: diceSums(sigmoid(logits), target) } : {}),
    ...(thresholds ? { thresholdCounts: thresholdCounts(logits, target, thresholds) } : {}),
  };
  return { pass: { graph, outputs: [logits, ...Object.values(results)] }, inputs, logits, results };
}

/** Runs the net with its running statistics. No graph of gradients exists here. */
export class EvaluationStep {
  private constructor(
    readonly plan: Plan,
    readonly batch: number,
    /** The logit above which a pixel is foreground. */
    readonly threshold: number,
    private readonly inputs: ImageInputs,
    private readonly logits: Tensor,
    private readonly results: RecordedEvaluation['results'],
  ) {}

  static async compile(device: Device, variables: Variables, settings: EvaluationSettings): Promise<EvaluationStep> {
    const { batch, threshold = 0 } = settings;
    const { pass, inputs, logits, results } = recordEvaluation(variables, settings);
    const plan = await Plan.compile(device, pass.graph, {
      outputs: pass.outputs,
      fuse: settings.fuse,
      values: settings.averagedWeights ? EMA : undefined,
    });
    return new EvaluationStep(plan, batch, threshold, inputs, logits, results);
  }

  /** Submits one batch; `parameters` as in training, usually the identity. */
  run(pixels: Uint8Array, parameters: Float32Array): void {
    this.plan.write(this.inputs.pixels, pixels);
    this.plan.write(this.inputs.parameters, parameters);
    this.plan.run();
  }

  /** Of the batch submitted last. */
  async result(): Promise<EvaluationResult> {
    const names = Object.keys(this.results) as (keyof EvaluationResult)[];
    const values = await this.plan.read(...names.map((name) => this.results[name]!));
    const { loss, ...counts } = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    return { loss: loss[0], ...(counts as Omit<EvaluationResult, 'loss'>) };
  }

  /** Logits (N, 1, H, W) of the batch; of two classes the second one's over the first one's. */
  async readLogits(): Promise<Float32Array> {
    return (await this.plan.read(this.logits))[0];
  }

  destroy(): void {
    this.plan.destroy();
  }
}
