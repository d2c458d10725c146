import type { DeviceTraits } from '../device.js';
import { type Node, type Op, recordOne, type Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import type { ImageRange, Lowering, Scratch } from '../lowering.js';
import type { Variable } from '../variables.js';
import type { Constants } from '../wgsl.js';

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

interface Attributes {
  momentum: number;
  eps: number;
  /** Of a fused node. */
  epilogue?: Epilogue;
}

interface GradientAttributes extends Attributes {
  /** dy is the gradient of relu(y), and passes where y > 0. */
  relu?: boolean;
}

const SHADER = 'batchNorm2d';
/** vec4f a quad that the pass for dx reads. */
const COEFFICIENTS = 5;
/** Of the shader, where a pass has no part in what is fused. */
const plain = ({ inputs: [x] }: Node): Constants => ({ Quad: quadType(x.dtype), RELU: false, ADD: 0 });

/**
 * The invocations of a workgroup that sums, and whether they merge their sums. On a processor a barrier costs more than the
 * sums that it saves: there a workgroup is one subgroup, and every invocation hands its own on. Sums of 4x16x128x128 (llvmpipe,
 * Mesa 25.0.7, 8 lanes, two threads of a 2.5 GHz Xeon): 2.6 ms with 64 invocations that merge, 1.3 so; 4x16x32x32: 0.29, 0.11.
 */
const teamOf = ({ cpu, subgroupSize }: DeviceTraits) =>
  cpu ? { THREADS: Math.max(8, subgroupSize), MERGE: false } : { THREADS: 64, MERGE: true };

/** Of the passes that sum nothing. */
const WIDE = { THREADS: 64, MERGE: false };

/** In training: [x, weight, bias, running mean, running variance, (addend)] to [y, batch mean, biased batch variance]. */
export const batchNorm2dOp: Op<Attributes> = {
  name: 'batchNorm2d',
  effect: true,
  lower(node, to) {
    const [x, , , runningMean, runningVariance] = node.inputs;
    const [, mean, variance] = node.outputs;
    const count = pixelsOf(x);
    reduce(node, to, {
      numbers: 3,
      partial: { entry: 'statistics', images: { x }, vectors: {} },
      finish: {
        entry: 'finishStatistics',
        vectors: {
          mean_out: mean,
          variance_out: variance,
          running_mean: runningMean,
          running_variance: runningVariance,
        },
        params: { momentum: node.attributes.momentum, unbiased: count / (count - 1) },
      },
    });
    normalise(node, to, mean, variance);
  },
  gradient: (node, [dy], wanted) => recordGradients(node, dy!, node.outputs[1], node.outputs[2], wanted, true),
  // The batch's statistics are there: nothing is summed again, and the running ones do not move twice.
  again({ inputs: [x, weight, bias, , , ...addend], outputs: [, mean, variance], attributes }) {
    const { name, lower } = batchNorm2dEvaluationOp;
    const op = { name: nameOf(name, attributes.epilogue), lower } as Op;
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

/** [x, dy, weight, bias, mean, variance] to [d weight, d bias, coefficients of dx]. */
export const batchNorm2dSumsOp: Op<GradientAttributes> = {
  name: 'batchNorm2dSums',
  lower(node, to) {
    const [x, dy, weight, bias, mean, variance] = node.inputs;
    const [dweight, dbias, coefficients] = node.outputs;
    const { relu = false } = node.attributes;
    reduce(node, to, {
      numbers: 2,
      partial: {
        entry: 'gradientSums',
        images: { x, dy },
        vectors: relu ? { mean, variance, weight, bias } : { mean },
        constants: { RELU: relu },
      },
      finish: {
        entry: 'finishGradientSums',
        vectors: {
          mean,
          variance,
          weight,
          bias,
          dweight_out: dweight,
          dbias_out: dbias,
          coefficients_out: coefficients,
        },
        params: {},
      },
    });
  },
};

/** [x, dy, coefficients] to [dx]. */
export const batchNorm2dInputGradientOp: Op<GradientAttributes & { training: boolean }> = {
  name: 'batchNorm2dInputGradient',
  lower(node, to) {
    const [x, dy, coefficients] = node.inputs;
    const { relu = false, training } = node.attributes;
    overPixels(node, to, {
      entry: 'inputGradient',
      images: { x, dy, dx: node.outputs[0] },
      vectors: { coefficients },
      constants: { RELU: relu },
      params: { inverseCount: training ? 1 / pixelsOf(x) : 0 },
    });
  },
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

/** A node of batch norm's gradients that takes the gradient of relu(y) for dy, and masks it on the way. */
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
  const [dweight, dbias, coefficients] = x.graph.record(
    batchNorm2dSumsOp,
    [x, dy, weight, bias, mean, variance],
    [
      { shape: weight.shape, layout: 'vector', name: 'batchNorm2d.dweight' },
      { shape: bias.shape, layout: 'vector', name: 'batchNorm2d.dbias' },
      { shape: [COEFFICIENTS * 4 * vec4s(x.shape[1])], layout: 'vector', name: 'batchNorm2d.coefficients' },
    ],
    node.attributes,
  );
  const dx =
    wanted[0] &&
    recordOne(
      batchNorm2dInputGradientOp,
      [x, dy, coefficients],
      { shape: x.shape, dtype: x.dtype, name: 'batchNorm2d.dx' },
      { ...node.attributes, training },
    );
  return [dx || undefined, dweight, dbias];
}

const pixelsOf = ({ shape: [n, , h, w] }: Tensor): number => n * h * w;

/** The widest power of two up to 16 that divides the number of quads: a workgroup is then whole lines of quads. */
function widthOf(quads: number, threads: number): number {
  let width = 1;
  while (width < Math.min(16, threads) && quads % (width * 2) === 0) width *= 2;
  return width;
}

interface Tiling {
  width: number;
  /** Pixels of one workgroup. */
  span: number;
  /** Workgroups side by side along the pixels. */
  groups: number;
}

/**
 * Cuts the pixels so that about `workgroups` of them work, each invocation on eight pixels at least: below that the
 * reads of the channel's vectors, and the merging, would weigh more than the pixels.
 */
function tilingOf(
  pixels: number,
  quads: number,
  { workgroups, threads }: { workgroups: number; threads: number },
  traits: DeviceTraits,
): Tiling {
  const width = widthOf(quads, threads);
  const lines = threads / width;
  const most = Math.min(Math.ceil(pixels / (8 * lines)), traits.maxWorkgroups);
  const wish = Math.min(Math.max(Math.ceil((workgroups * width) / quads), 1), most);
  const span = Math.ceil(pixels / wish / lines) * lines;
  return { width, span, groups: Math.ceil(pixels / span) };
}

/** The parameters that every entry point takes, for one range of the batch. */
function rangeParams(node: Node<Attributes>, range: ImageRange, tiling: Tiling) {
  const [, channels, h, w] = node.inputs[0].shape;
  return {
    pixels: range.count * h * w,
    quads: vec4s(channels),
    width: tiling.width,
    span: tiling.span,
    partials: 0,
    eps: node.attributes.eps,
    momentum: 0,
    unbiased: 0,
    inverseCount: 0,
  };
}

/** The pass that writes y. */
function normalise(node: Node<Attributes>, to: Lowering, mean: Tensor, variance: Tensor): void {
  const [x, weight, bias, , , addend] = node.inputs;
  const { epilogue = [] } = node.attributes;
  overPixels(node, to, {
    entry: 'normalise',
    images: { x, y: node.outputs[0], ...(addend ? { addend } : {}) },
    vectors: { weight, bias, mean, variance },
    constants: { RELU: epilogue.includes('relu'), ADD: epilogue.indexOf('add') + 1 },
  });
}

/** An entry point that goes over the images once. */
function overPixels(
  node: Node<Attributes>,
  to: Lowering,
  {
    entry,
    images,
    vectors,
    constants,
    params,
  }: {
    entry: string;
    images: Record<string, Tensor>;
    vectors: Record<string, Tensor>;
    constants: Constants;
    params?: { inverseCount: number };
  },
): void {
  const [, channels, h, w] = node.inputs[0].shape;
  const quads = vec4s(channels);
  const sizes = { workgroups: to.traits.cpu ? 64 : Infinity, threads: WIDE.THREADS };
  for (const range of to.batches(...Object.values(images))) {
    const tiling = tilingOf(range.count * h * w, quads, sizes, to.traits);
    const parts = Object.entries(images).map(([name, image]) => [name, to.images(image, range)] as const);
    to.dispatch({
      shader: SHADER,
      entry,
      constants: { ...plain(node), ...WIDE, ...constants },
      params: { ...rangeParams(node, range, tiling), ...params },
      bindings: { ...Object.fromEntries(parts), ...vectors },
      workgroups: [tiling.groups, quads / tiling.width, 1],
    });
  }
}

/** A sum over all pixels in two levels: partials of many workgroups, then these together. */
function reduce(
  node: Node<Attributes>,
  to: Lowering,
  {
    numbers,
    partial,
    finish,
  }: {
    /** vec4f of one partial. */
    numbers: number;
    partial: {
      entry: string;
      images: Record<string, Tensor>;
      vectors: Record<string, Tensor>;
      constants?: Constants;
    };
    finish: { entry: string; vectors: Record<string, Tensor>; params: { momentum?: number; unbiased?: number } };
  },
): void {
  const [, channels, h, w] = node.inputs[0].shape;
  const quads = vec4s(channels);
  // 1024 workgroups fill a large GPU; a processor needs a few for each core, and each costs the last pass.
  const team = teamOf(to.traits);
  const sizes = { workgroups: to.traits.cpu ? 16 : 1024, threads: team.THREADS };
  const ranges = to.batches(...Object.values(partial.images));
  const tilings = ranges.map((range) => tilingOf(range.count * h * w, quads, sizes, to.traits));
  const partialsOf = ({ groups, width }: Tiling): number => (team.MERGE ? groups : groups * (team.THREADS / width));
  const partials = tilings.reduce((sum, tiling) => sum + partialsOf(tiling), 0);
  const scratch: Scratch = to.scratch('partials', [partials * quads * numbers * 4], 'vector');
  let first = 0;
  ranges.forEach((range, i) => {
    const parts = Object.entries(partial.images).map(([name, image]) => [name, to.images(image, range)] as const);
    to.dispatch({
      shader: SHADER,
      entry: partial.entry,
      constants: { ...plain(node), ...team, ...partial.constants },
      params: { ...rangeParams(node, range, tilings[i]), partials: first },
      bindings: { ...Object.fromEntries(parts), ...partial.vectors, partials: scratch },
      workgroups: [tilings[i].groups, quads / tilings[i].width, 1],
    });
    first += partialsOf(tilings[i]);
  });
  // A GPU hides latency with many lines of partials for each quad.
  const width = team.MERGE ? 1 : team.THREADS;
  to.dispatch({
    shader: SHADER,
    entry: finish.entry,
    constants: { ...plain(node), ...team },
    params: { ...rangeParams(node, { first: 0, count: 0 }, { width, span: 0, groups: 1 }), partials, ...finish.params },
    bindings: { partials: scratch, ...finish.vectors },
    workgroups: [1, Math.ceil(quads / width), 1],
  });
}
