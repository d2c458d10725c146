/**
 * Optimizers over all parameters at once. Gradients are placed into the arena 'gradient' by the plan, so an update is
 * one dispatch a chunk of memory, however many parameters there are. Semantics are PyTorch's (1.13), checked against
 * its values.
 */
import { type Graph, recordOne, type Tensor } from './graph.js';
import type { LossScale } from './lossScale.js';
import { ADAM_STATE, adamHyper, adamOp } from './ops/adam.js';
import { gradientSquares } from './ops/gradientSquares.js';
import type { UpdateOptions } from './ops/overParameters.js';
import { scale } from './ops/scale.js';
import { SGD_STATE, sgdOp } from './ops/sgd.js';
import type { Variable, Variables } from './variables.js';

export interface SgdSettings {
  kind: 'sgd';
  /** Default 0. */
  momentum?: number;
  /** Default false; needs momentum. */
  nesterov?: boolean;
  /** L2: times the parameter, added to the gradient. Default 0. */
  weightDecay?: number;
}

export interface AdamSettings {
  kind: 'adam' | 'adamw' | 'radam';
  /** Default 0.9, 0.999. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  eps?: number;
  /** L2 in adam and radam, default 0; decoupled from the gradient in adamw, default 0.01. */
  weightDecay?: number;
}

export type OptimizerSettings = SgdSettings | AdamSettings;

export interface StepOptions {
  clipNorm?: number;
  lossScale?: LossScale;
}

export interface OptimizerStep {
  /** The L2 norm of all gradients together before clipping and without the loss scale, a vector [1]. */
  norm: Tensor;
  /** The input that takes `hyperValues` before every step. */
  hyper: Tensor;
}

export interface Optimizer {
  readonly kind: OptimizerSettings['kind'];
  /**
   * Arenas with the optimizer's state: what a checkpoint has to hold (`variables.read`, `variables.set`) besides the
   * step count.
   */
  readonly stateNames: readonly string[];
  /**
   * Records norm, clipping and update behind everything recorded so far. With `clipNorm` the gradients themselves are
   * multiplied by min(1, clipNorm / (norm + 1e-6)), so a gradient read after the step is the clipped one. With `lossScale`
   * the gradients carry that scale: norm, clipping and update are those of the gradients without it, and where one is not
   * finite there is no update.
   * @param gradients one a parameter, as `gradients()` gives them
   * @throws Error naming a parameter that has no gradient, or one of another shape
   */
  step(
    graph: Graph,
    parameters: readonly Variable[],
    gradients: readonly Tensor[],
    options?: StepOptions,
  ): OptimizerStep;
  /**
   * The second half of `step`: norm, clipping and update of what lies in the arena of gradients.
   * @param placed the gradients that this graph makes, as `placeGradients` gives them; none where other plans made them
   */
  update(graph: Graph, placed: readonly Tensor[], options?: StepOptions): OptimizerStep;
  /**
   * What the host writes into `hyper` before a step.
   * @param step counts from 1 over the whole run
   */
  hyperValues(learningRate: number, step: number): number[];
}

/** @throws Error for settings outside their range */
export function createOptimizer(settings: OptimizerSettings, variables: Variables): Optimizer {
  const update = settings.kind === 'sgd' ? sgdUpdate(settings, variables) : adamUpdate(settings, variables);
  const record: Optimizer['update'] = (graph, placed, { clipNorm, lossScale } = {}) => {
    if (clipNorm !== undefined && !(clipNorm > 0 && clipNorm < Infinity)) {
      throw new Error(`${settings.kind}: clipNorm is ${clipNorm}; a positive number is needed`);
    }
    const squares = gradientSquares(graph, variables, placed);
    const gate = lossScale?.update(squares);
    const hyper = graph.input('optimizer.hyper', [4], 'vector');
    const norm = update.record([hyper, squares, ...placed, ...(gate ? [gate] : [])], { clipNorm, gate });
    return { norm, hyper };
  };
  return {
    kind: settings.kind,
    stateNames: update.stateNames,
    step: (graph, parameters, gradients, options) =>
      record(graph, placeGradients(graph, variables, parameters, gradients), options),
    update: record,
    hyperValues(learningRate, step) {
      if (!Number.isInteger(step) || step < 1) throw new Error(`${settings.kind}: step is ${step}; steps count from 1`);
      if (!(learningRate >= 0 && learningRate < Infinity)) {
        throw new Error(`${settings.kind}: the learning rate is ${learningRate}; a number from 0 on is needed`);
      }
      return update.hyperValues(learningRate, step);
    },
  };
}

const NORM = { shape: [1], layout: 'vector', name: 'norm' } as const;

interface Update {
  stateNames: readonly string[];
  /** @returns the norm */
  record(inputs: readonly Tensor[], options: UpdateOptions): Tensor;
  hyperValues(learningRate: number, step: number): number[];
}

function inRange(kind: string, name: string, value: number, low: number, high: number): number {
  if (!(value >= low && value < high))
    throw new Error(`${kind}: ${name} is ${value}; it lies in ${low} <= ${name} < ${high}`);
  return value;
}

function sgdUpdate(
  { kind, momentum = 0, nesterov = false, weightDecay = 0 }: SgdSettings,
  variables: Variables,
): Update {
  inRange(kind, 'momentum', momentum, 0, 1);
  inRange(kind, 'weightDecay', weightDecay, 0, Infinity);
  if (nesterov && momentum === 0) throw new Error('sgd: nesterov needs momentum');
  return {
    stateNames: momentum === 0 ? [] : [SGD_STATE],
    record: (inputs, options) =>
      recordOne(sgdOp, inputs, NORM, { variables, momentum, nesterov, weightDecay, ...options }),
    hyperValues: (learningRate) => [learningRate, 0, 0, 0],
  };
}

function adamUpdate(settings: AdamSettings, variables: Variables): Update {
  const { kind, betas = [0.9, 0.999], eps = 1e-8, weightDecay = kind === 'adamw' ? 0.01 : 0 } = settings;
  inRange(kind, 'beta1', betas[0], 0, 1);
  inRange(kind, 'beta2', betas[1], 0, 1);
  inRange(kind, 'weightDecay', weightDecay, 0, Infinity);
  // Smaller ones are 0 in float32, and 0 / 0 would spread from gradients that are 0.
  inRange(kind, 'eps', eps, 1e-37, Infinity);
  return {
    stateNames: Object.values(ADAM_STATE),
    record: (inputs, options) =>
      recordOne(adamOp, inputs, NORM, {
        variables,
        betas,
        weightDecay: kind === 'adamw' ? 0 : weightDecay,
        ...options,
      }),
    hyperValues: (learningRate, step) => adamHyper({ kind, betas, eps, weightDecay }, learningRate, step),
  };
}

/**
 * Has every gradient written into its parameter's place of the arena. A gradient that cannot be made there itself gets
 * a copy there: an input, a variable's own value, one tensor for several parameters; and one that a node reads to make
 * another gradient, since a dispatch cannot read and write one buffer.
 * @returns one tensor a parameter, to be the input of what reads the arena
 * @throws Error naming a parameter that has no gradient, or one of another shape
 */
export function placeGradients(
  graph: Graph,
  variables: Variables,
  parameters: readonly Variable[],
  gradients: readonly Tensor[],
): Tensor[] {
  const given = new Set(parameters.filter((_, i) => gradients[i] !== undefined));
  const without = variables.parameters.find((parameter) => !given.has(parameter));
  if (without) throw new Error(`optimizer: the parameter ${without.name} has no gradient`);

  const uses = new Map<Tensor, number>();
  for (const gradient of gradients) uses.set(gradient, (uses.get(gradient) ?? 0) + 1);
  const readForAnother = new Set<Tensor>();
  for (const { inputs, outputs } of graph.nodes) {
    if (outputs.some((output) => uses.has(output))) inputs.forEach((input) => readForAnother.add(input));
  }

  return parameters.map((parameter, i) => {
    const gradient = gradients[i];
    if (gradient.shape.join() !== parameter.shape.join() || gradient.layout !== parameter.layout) {
      throw new Error(
        `optimizer: the gradient ${gradient} (${gradient.layout}) does not fit ` +
          `${parameter.name} [${parameter.shape.join(', ')}] (${parameter.layout})`,
      );
    }
    if (gradient.gradientOf)
      throw new Error(`optimizer: this graph has a step that uses the gradient ${gradient} already`);
    const direct = gradient.producer !== undefined && uses.get(gradient) === 1 && !readForAnother.has(gradient);
    const placed = direct ? gradient : scale(gradient, 1);
    placed.gradientOf = parameter;
    return placed;
  });
}
