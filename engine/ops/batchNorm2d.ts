import { type Node, type Op, recordOne, type Tensor } from '../graph.js';
import type { Variable } from '../variables.js';
import { gradientPasses, normalise, trainingPasses } from './batchNormPasses.js';
import { pixelsOf } from './quadLines.js';

export interface BatchNorm2dOptions {
  /** Normalise with the batch's statistics and move the running ones, rather than normalise with the running ones. */
  training: boolean;
  /** How far the running estimates move towards the batch: new = old + momentum * (batch - old). */
  momentum: number;
  /** Added to the variance. */
  eps: number;
}

/** What is done to y before it is written, in this order; `add` takes one more input. */
export type Epilogue = readonly ('add' | 'relu')[];

export interface Attributes {
  momentum: number;
  eps: number;
  /** Of a fused node. */
  epilogue?: Epilogue;
  /** The last input holds moments of parts of x. */
  moments?: boolean;
}

export interface GradientAttributes extends Attributes {
  /** The mean and variance are those of x, and move with it. */
  training: boolean;
  /** dy is the gradient of relu(y), and passes where y > 0. */
  relu?: boolean;
}

/**
 * In training: [x, weight, bias, running mean, running variance, (addend), (moments of parts of x)] to [y, batch mean, biased batch
 * variance].
 */
export const batchNorm2dOp: Op<Attributes> = {
  name: 'batchNorm2d',
  effect: true,
  lower: trainingPasses,
  gradient: (node, [dy], wanted) => recordGradients(node, dy!, node.outputs[1], node.outputs[2], wanted, true),
  // The batch's statistics are there: nothing is summed again, and the running ones do not move twice.
  again({
    inputs: [x, weight, bias, , , ...others],
    outputs: [, mean, variance],
    attributes: { moments, ...attributes },
  }) {
    const { name, lower } = batchNorm2dEvaluationOp;
    const op = { name: nameOf(name, attributes.epilogue), lower } as Op;
    const addend = moments ? others.slice(0, -1) : others;
    return { op, inputs: [x, weight, bias, mean, variance, ...addend], attributes };
  },
};

/** In evaluation: [x, weight, bias, running mean, running variance, (addend)] to [y]. */
export const batchNorm2dEvaluationOp: Op<Attributes> = {
  name: 'batchNorm2dEvaluation',
  lower(node, to) {
    normalise(node, to, node.inputs[3], node.inputs[4]);
  },
  gradient: (node, [dy], wanted) => recordGradients(node, dy!, node.inputs[3], node.inputs[4], wanted, false),
};

/** [x, dy, weight, bias, mean, variance] to [dweight, dbias], and dx where that is wanted. */
export const batchNorm2dGradientOp: Op<GradientAttributes> = {
  name: 'batchNorm2dGradient',
  lower: gradientPasses,
};

type BatchNorm = typeof batchNorm2dOp | typeof batchNorm2dEvaluationOp;

/** Whether a node is a batch normalisation, in training or in evaluation. */
export const isBatchNorm2d = (node: Node): boolean =>
  node.op === (batchNorm2dOp as Op) || node.op === (batchNorm2dEvaluationOp as Op);

const nameOf = (op: string, epilogue: Epilogue = []): string => [op, ...epilogue].join('+');

/**
 * The node that also does what came behind a batch normalisation, in the same pass.
 * @param y what that gave in the end
 * @param addend of y's shape, where the epilogue adds
 */
export function withEpilogue(node: Node, epilogue: Epilogue, y: Tensor, addend?: Tensor): Node {
  const { name, effect, lower, again } = node.op as BatchNorm;
  const op: Op<Attributes> = { name: nameOf(name, epilogue), effect, lower, again };
  return {
    op: op as Op,
    inputs: addend ? [...node.inputs, addend] : node.inputs,
    outputs: [y, ...node.outputs.slice(1)],
    attributes: { ...(node.attributes as Attributes), epilogue },
  };
}

/** Whether a node takes statistics of its batch, whatever its epilogue. */
export const isTraining = ({ op }: Node): boolean => op.lower === batchNorm2dOp.lower;

/**
 * The node that merges moments of parts of x instead of reading x for them.
 * @param moments MOMENTS vec4f for each part and quad of channels
 */
export const withMoments = (node: Node, moments: Tensor): Node => ({
  ...node,
  inputs: [...node.inputs, moments],
  attributes: { ...(node.attributes as Attributes), moments: true },
});

/** The node of batch norm's gradients that takes the gradient of relu(y) for dy, and masks it on the way. */
export function throughRelu(node: Node, dy: Tensor): Node {
  const [x, , ...rest] = node.inputs;
  return { ...node, inputs: [x, dy, ...rest], attributes: { ...(node.attributes as GradientAttributes), relu: true } };
}

/**
 * y = (x - mean) / sqrt(variance + eps) * weight + bias for each channel of x [N, C, H, W].
 *
 * In training, mean and (biased) variance are the batch's, and each step moves the running estimates, the variance
 * towards the unbiased one; otherwise they are the running estimates. Gradients flow to x, weight and bias.
 *
 * @param weight [C], a vector
 * @param bias [C], a vector
 * @param running the estimates [C], not trained
 * @throws Error when a shape does not fit, an option is out of range, or training has one value a channel
 */
export function batchNorm2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  running: { mean: Variable; variance: Variable },
  { training, momentum, eps }: BatchNorm2dOptions,
): Tensor {
  if (x.layout !== 'image') throw new Error(`batchNorm2d: ${x} has layout ${x.layout}; it takes an image`);
  const channels = x.shape[1];
  const vectors = [weight, bias, running.mean, running.variance];
  const roles = ['weight', 'bias', 'running mean', 'running variance'];
  vectors.forEach(({ shape, layout, name }, i) => {
    if (layout !== 'vector' || shape[0] !== channels) {
      throw new Error(
        `batchNorm2d: input has ${channels} channels but the ${roles[i]} ${name} is [${shape.join(', ')}] (${layout}); ` +
          `it needs the vector [${channels}]`,
      );
    }
  });
  if (!(eps >= 0 && Number.isFinite(eps))) throw new Error(`batchNorm2d: eps is ${eps}; it is 0 or more`);
  if (!(momentum >= 0 && momentum <= 1))
    throw new Error(`batchNorm2d: momentum is ${momentum}; it lies between 0 and 1`);
  if (training && pixelsOf(x) === 1) {
    throw new Error(
      `batchNorm2d: ${x} has one value a channel, which has no variance; train with a larger batch or image`,
    );
  }
  const inputs = [x, weight, bias, x.graph.read(running.mean), x.graph.read(running.variance)];
  const attributes = { momentum, eps };
  if (!training)
    return recordOne(
      batchNorm2dEvaluationOp,
      inputs,
      { shape: x.shape, dtype: x.dtype, name: 'batchNorm2d' },
      attributes,
    );
  const [y] = x.graph.record(
    batchNorm2dOp,
    inputs,
    [
      { shape: x.shape, dtype: x.dtype },
      { shape: [channels], layout: 'vector', name: 'batchNorm2d.mean' },
      { shape: [channels], layout: 'vector', name: 'batchNorm2d.variance' },
    ],
    attributes,
  );
  return y;
}

/**
 * dbias = sum(dy), dweight = sum(dy * xhat), dx = weight / deviation * (dy - (dbias + xhat * dweight) / count); the part in
 * parentheses comes from the batch's mean and variance, so evaluation has none.
 */
function recordGradients(
  node: Node<Attributes>,
  dy: Tensor,
  mean: Tensor,
  variance: Tensor,
  wanted: readonly boolean[],
  training: boolean,
): (Tensor | undefined)[] {
  const [x, weight, bias] = node.inputs;
  const [dweight, dbias, dx] = x.graph.record(
    batchNorm2dGradientOp,
    [x, dy, weight, bias, mean, variance],
    [
      { shape: weight.shape, layout: 'vector', name: 'batchNorm2d.dweight' },
      { shape: bias.shape, layout: 'vector', name: 'batchNorm2d.dbias' },
      ...(wanted[0] ? [{ shape: x.shape, dtype: x.dtype, name: 'batchNorm2d.dx' }] : []),
    ],
    { ...node.attributes, training },
  );
  return [dx, dweight, dbias];
}
