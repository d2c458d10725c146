/** The evaluation step, from packed photos to what is counted of the net's predictions. */
import type { Device } from '../engine/device.js';
import { Graph, type Tensor } from '../engine/graph.js';
import { boundaryCounts } from '../engine/ops/boundaryCounts.js';
import { EMA } from '../engine/ops/movingAverage.js';
import { diceSums } from '../engine/ops/overlapLoss.js';
import { segmentationCounts } from '../engine/ops/segmentationCounts.js';
import { sigmoid } from '../engine/ops/sigmoid.js';
import { thresholdCounts, type ThresholdGrid } from '../engine/ops/thresholdCounts.js';
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
