/** The two plans of a run: a training step and an evaluation step, both from packed photos. */
import { gradients } from '../engine/autograd.js';
import type { Device } from '../engine/device.js';
import { Graph, type Tensor } from '../engine/graph.js';
import { augmentImages } from '../engine/ops/augmentImages.js';
import { segmentationCounts } from '../engine/ops/segmentationCounts.js';
import { createOptimizer, type Optimizer, type OptimizerSettings } from '../engine/optimizers.js';
import { Plan } from '../engine/plan.js';
import type { Variables } from '../engine/variables.js';
import { dropoutMask } from '../engine/ops/dropout2d.js';
import { type Initialisation, NetContext } from './context.js';
import { DEFAULT_DICE, type LossName, losses } from './losses.js';
import { buildNetwork, type NetworkName, networks } from './networks.js';

/** Red, green, blue of ImageNet's photos, as PyTorch's model zoo gives them, for values in 0 .. 1. */
export const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** What both steps have to agree on. */
export interface ModelSettings {
  net: NetworkName;
  baseWidth: number;
  /** Height and width of the images, pixels. */
  size: number;
  loss: Exclude<LossName, 'ce'>;
  seed: number;
  initialisation: Initialisation;
}

/** Pixels of a batch: one u32 a pixel (bytes R, G, B, M), and sixteen augmentation parameters an image. */
interface ImageInputs {
  pixels: Tensor;
  parameters: Tensor;
  image: Tensor;
  target: Tensor;
}

function imageInputs(graph: Graph, batch: number, size: number): ImageInputs {
  const pixels = graph.input('pixels', [batch, size, size], 'words');
  const parameters = graph.input('augmentation', [batch, 16, 1, 1]);
  const { image, mask } = augmentImages(pixels, parameters, IMAGENET);
  return { pixels, parameters, image, target: mask };
}

export interface TrainingSettings extends ModelSettings {
  batch: number;
  optimizer: OptimizerSettings;
  /** Largest global norm of the gradients; undefined leaves them as they are. */
  clipNorm?: number;
}

/** Loss of one step, and the norm of its gradients before clipping. */
export interface StepResult {
  loss: number;
  gradientNorm: number;
}

/** Augments, runs the net forward and backward, clips and updates: one plan, replayed for every batch. */
export class TrainingStep {
  private constructor(
    readonly plan: Plan,
    readonly optimizer: Optimizer,
    private readonly seed: number,
    private readonly inputs: ImageInputs,
    private readonly dropoutSeed: Tensor | undefined,
    private readonly hyper: Tensor,
    private readonly loss: Tensor,
    private readonly norm: Tensor,
  ) {}

  static async compile(device: Device, variables: Variables, settings: TrainingSettings): Promise<TrainingStep> {
    const graph = new Graph();
    const inputs = imageInputs(graph, settings.batch, settings.size);
    let dropoutSeed: Tensor | undefined;
    const net = new NetContext(graph, variables, true, settings.seed, settings.initialisation, (channels, p) => {
      dropoutSeed = graph.input('dropout seed', [2], 'words');
      return dropoutMask(dropoutSeed, [settings.batch, channels], p, 0);
    });
    const logits = buildNetwork(net, inputs.image, networks[settings.net], {
      width: settings.baseWidth,
      classes: 1,
    });
    const loss = losses[settings.loss](logits, inputs.target, DEFAULT_DICE);
    const parameters = variables.parameters;
    const one = graph.input('one', [1], 'vector');
    const made = gradients([loss], [one], parameters.map((parameter) => graph.read(parameter)));
    const optimizer = createOptimizer(settings.optimizer, variables);
    const { norm, hyper } = optimizer.step(graph, parameters, made, { clipNorm: settings.clipNorm });
    const plan = await Plan.compile(device, graph, { outputs: [loss, norm] });
    plan.write(one, [1]);
    return new TrainingStep(plan, optimizer, settings.seed, inputs, dropoutSeed, hyper, loss, norm);
  }

  /**
   * Submits one step.
   * @param pixels batch * size * size * 4 bytes
   * @param parameters sixteen numbers an image
   * @param step counts from 1 over the whole run
   */
  run(pixels: Uint8Array, parameters: Float32Array, learningRate: number, step: number): void {
    this.plan.write(this.inputs.pixels, pixels);
    this.plan.write(this.inputs.parameters, parameters);
    this.plan.write(this.hyper, this.optimizer.hyperValues(learningRate, step));
    if (this.dropoutSeed) this.plan.write(this.dropoutSeed, [this.seed, step]);
    this.plan.run();
  }

  /** Of the step submitted last. */
  async result(): Promise<StepResult> {
    const [loss, norm] = await this.plan.read(this.loss, this.norm);
    return { loss: loss[0], gradientNorm: norm[0] };
  }

  destroy(): void {
    this.plan.destroy();
  }
}

/** Runs the net with its running statistics. No graph of gradients exists here. */
export class EvaluationStep {
  private constructor(
    readonly plan: Plan,
    readonly batch: number,
    private readonly inputs: ImageInputs,
    private readonly logits: Tensor,
    private readonly loss: Tensor,
    private readonly counts: Tensor,
  ) {}

  static async compile(
    device: Device,
    variables: Variables,
    settings: ModelSettings & { batch: number },
  ): Promise<EvaluationStep> {
    const graph = new Graph();
    const inputs = imageInputs(graph, settings.batch, settings.size);
    const net = new NetContext(graph, variables, false, settings.seed, settings.initialisation);
    const logits = buildNetwork(net, inputs.image, networks[settings.net], {
      width: settings.baseWidth,
      classes: 1,
    });
    const loss = losses[settings.loss](logits, inputs.target, DEFAULT_DICE);
    const counts = segmentationCounts(logits, inputs.target, { threshold: 0 });
    const plan = await Plan.compile(device, graph, { outputs: [logits, loss, counts] });
    return new EvaluationStep(plan, settings.batch, inputs, logits, loss, counts);
  }

  /** Submits one batch; `parameters` as in training, usually the identity. */
  run(pixels: Uint8Array, parameters: Float32Array): void {
    this.plan.write(this.inputs.pixels, pixels);
    this.plan.write(this.inputs.parameters, parameters);
    this.plan.run();
  }

  /** Mean loss of the batch, and the counts of each image (see `segmentationCounts`). */
  async result(): Promise<{ loss: number; counts: Float32Array }> {
    const [loss, counts] = await this.plan.read(this.loss, this.counts);
    return { loss: loss[0], counts };
  }

  /** Logits (N, 1, H, W) of the batch. */
  async readLogits(): Promise<Float32Array> {
    return (await this.plan.read(this.logits))[0];
  }

  destroy(): void {
    this.plan.destroy();
  }
}
