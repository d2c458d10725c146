/** The dispatches of batch normalisation: over maps of any size in passes, over those with few pixels in one. */
import type { DeviceTraits } from '../device.js';
import type { Node, Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import type { Binding, ImageRange, Lowering, Scratch } from '../lowering.js';
import { TEXEL_SHIFT } from '../texels.js';
import type { Constants } from '../wgsl.js';
import type { Attributes, GradientAttributes } from './batchNorm2d.js';
import { hasSubgroups, pixelsOf, widthOf, widthOfAll, widthOfFew } from './quadLines.js';

const SHADER = 'batchNorm2d';
/** vec4f a quad that the pass for dx reads. */
const COEFFICIENTS = 5;
/** vec4f a quad of the moments of some pixels: their number, mean, and squared distances from it. */
export const MOMENTS = 3;
/** Moments that the last pass merges without another before it, on a processor without subgroups and on a graphics card. */
const FEW_MOMENTS = { cpu: 64, gpu: 1024 };

const lanesOf = ({ subgroupSize }: DeviceTraits): number => Math.max(8, subgroupSize);

/** Of the shader, where a pass has no part in what is fused. */
const plain = ({ inputs: [x] }: Node): Constants => ({ Quad: quadType(x.dtype), RELU: false, ADD: 0, TEXELS: 0 });

const epilogueOf = ({ attributes: { epilogue = [] } }: Node<Attributes>): Constants => ({
  RELU: epilogue.includes('relu'),
  ADD: epilogue.indexOf('add') + 1,
});

/**
 * The invocations of a workgroup that sums, and whether they merge their sums. On a processor a barrier costs more than the
 * sums that it saves: there a workgroup is one subgroup, and every invocation hands its own on. Sums of 4x16x128x128 (llvmpipe,
 * Mesa 25.0.7, 8 lanes, two threads of a 2.5 GHz Xeon): 2.6 ms with 64 invocations that merge, 1.3 so; 4x16x32x32: 0.29, 0.11.
 */
const teamOf = (traits: DeviceTraits) =>
  traits.cpu ? { THREADS: lanesOf(traits), MERGE: false } : { THREADS: 64, MERGE: true };

/**
 * Of the passes that sum nothing. On a processor the lines of a wider workgroup are far apart: y of 4x16x128x128 with statistics
 * given takes 0.63 ms with 64 invocations, 0.55 with 8 (llvmpipe, Mesa 25.0.7, 8 lanes, two threads of a Zen 4 EPYC).
 */
const wideOf = (traits: DeviceTraits) => ({ THREADS: traits.cpu ? lanesOf(traits) : 64, MERGE: false });

/** A dispatch in which every workgroup has a few channels to itself, in all their pixels, or in all moments of parts of x. */
function few(
  node: Node<Attributes>,
  to: Lowering,
  width: number,
  {
    entry,
    constants,
    params,
    bindings,
  }: {
    entry: string;
    constants: Constants;
    params: { momentum?: number; unbiased?: number; inverseCount?: number };
    bindings: Record<string, Tensor>;
  },
): void {
  const [x] = node.inputs;
  const quads = vec4s(x.shape[1]);
  const { moments } = bindings;
  const shared = { pixels: pixelsOf(x), quads, width, eps: node.attributes.eps };
  to.dispatch({
    shader: 'batchNorm2dSubgroup',
    entry,
    constants: {
      ...plain(node),
      LANES: to.traits.subgroupSize,
      MOMENTS: moments !== undefined,
      NORMALISE: true,
      ...constants,
    },
    params: {
      ...shared,
      partials: moments ? partsOf(moments, quads) : 0,
      momentum: 0,
      unbiased: 0,
      inverseCount: 0,
      ...params,
    },
    bindings,
    workgroups: [quads / width, 1, 1],
  });
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

/** The partials that workgroups write: one each if they merge, otherwise one for each of their lines. */
const partialsOf = ({ groups, width }: Tiling, { MERGE, THREADS }: { MERGE: boolean; THREADS: number }): number =>
  MERGE ? groups : groups * (THREADS / width);

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

/** How many parts' moments these are. */
export const partsOf = ({ bytes }: Tensor | Scratch, quads: number): number => bytes / 16 / quads / MOMENTS;

/** The inputs behind the five that every batch normalisation has. */
function extrasOf({ inputs, attributes }: Node<Attributes>): { addend?: Tensor; moments?: Tensor } {
  const others = inputs.slice(5);
  const moments = attributes.moments ? others.pop() : undefined;
  return { ...(others[0] ? { addend: others[0] } : {}), ...(moments ? { moments } : {}) };
}

/** Statistics of the batch, the running estimates, and y. */
export function trainingPasses(node: Node<Attributes>, to: Lowering): void {
  const [x, weight, bias, runningMean, runningVariance] = node.inputs;
  const extras = extrasOf(node);
  const [y, mean, variance] = node.outputs;
  const count = pixelsOf(x);
  const params = { momentum: node.attributes.momentum, unbiased: count / (count - 1) };
  const moved = {
    mean_out: mean,
    variance_out: variance,
    running_mean: runningMean,
    running_variance: runningVariance,
  };
  const width = widthOfFew(to, x);
  if (width !== undefined) {
    const bindings = { x, weight, bias, y, ...moved, ...extras };
    return few(node, to, width, { entry: 'forward', constants: epilogueOf(node), params, bindings });
  }
  const { moments } = extras;
  const last = { entry: 'finishStatistics', vectors: moved, params };
  if (moments && hasSubgroups(to.traits)) {
    // No more than their dispatch takes: folding them first would be another.
    const merging = { entry: 'forward', constants: { NORMALISE: false }, params, bindings: { ...moved, moments } };
    few(node, to, widthOfAll(to, vec4s(x.shape[1])), merging);
  } else if (moments) finish(node, to, fold(node, to, moments), last);
  else {
    const partial = { entry: 'statistics', images: { x }, vectors: {}, twice: ['x'] };
    reduce(node, to, { numbers: MOMENTS, partial, finish: last });
  }
  normalise(node, to, mean, variance, moments ? [] : ['x']);
}

/**
 * The pass that writes y.
 * @param twice images that another pass reads, too
 */
export function normalise(
  node: Node<Attributes>,
  to: Lowering,
  mean: Tensor,
  variance: Tensor,
  twice: readonly string[] = [],
): void {
  const [x, weight, bias] = node.inputs;
  const { addend } = extrasOf(node);
  overPixels(node, to, {
    entry: 'normalise',
    images: { x, y: node.outputs[0], ...(addend ? { addend } : {}) },
    vectors: { weight, bias, mean, variance },
    constants: epilogueOf(node),
    twice,
  });
}

/** Gradients of weight and bias, and of x where that is wanted. */
export function gradientPasses(node: Node<GradientAttributes>, to: Lowering): void {
  const [x, dy, weight, bias, mean, variance] = node.inputs;
  const [dweight, dbias, dx] = node.outputs;
  const { relu = false, training } = node.attributes;
  const params = { inverseCount: training ? 1 / pixelsOf(x) : 0 };
  const sums = { dweight_out: dweight, dbias_out: dbias };
  const width = dx && widthOfFew(to, x);
  if (width !== undefined) {
    const bindings = { x, dy, weight, mean, variance, dx, ...sums, ...(relu ? { bias } : {}) };
    return few(node, to, width, { entry: 'gradient', constants: { RELU: relu }, params, bindings });
  }
  const coefficients = to.scratch('coefficients', [COEFFICIENTS * 4 * vec4s(x.shape[1])], 'vector');
  reduce(node, to, {
    numbers: 2,
    partial: {
      entry: 'gradientSums',
      images: { x, dy },
      vectors: relu ? { mean, variance, weight, bias } : { mean },
      constants: { RELU: relu },
      twice: ['x', 'dy'],
    },
    finish: {
      entry: 'finishGradientSums',
      vectors: { mean, variance, weight, bias, ...sums, coefficients_out: coefficients },
      params: {},
    },
  });
  if (!dx) return;
  overPixels(node, to, {
    entry: 'inputGradient',
    images: { x, dy, dx },
    vectors: { coefficients },
    constants: { RELU: relu },
    params,
    twice: ['x', 'dy'],
  });
}

/**
 * Images that two passes read are copied into textures, if they can be: that and two readings of texels cost less than two of buffers.
 * The gradients of a UNet's step (width 16, 128x128, batch 4) take 13.3 ms instead of 14.5 (llvmpipe, 16 lanes, two cores of a Zen 4).
 */
function texelsOf(
  to: Lowering,
  parts: readonly (readonly [name: string, image: Binding])[],
  twice: readonly string[] = [],
): { texels: readonly string[]; shift: number } {
  const read = parts.filter(([name]) => twice.includes(name)).map(([, image]) => image);
  return read.length > 0 && to.texels(...read) ? { texels: twice, shift: TEXEL_SHIFT } : { texels: [], shift: 0 };
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
    twice,
  }: {
    entry: string;
    images: Record<string, Tensor>;
    vectors: Record<string, Tensor | Scratch>;
    constants: Constants;
    params?: { inverseCount: number };
    /** Images that another pass reads, too. */
    twice?: readonly string[];
  },
): void {
  const [, channels, h, w] = node.inputs[0].shape;
  const quads = vec4s(channels);
  const team = wideOf(to.traits);
  const sizes = { workgroups: to.traits.cpu ? 64 : Infinity, threads: team.THREADS };
  for (const range of to.batches(...Object.values(images))) {
    const tiling = tilingOf(range.count * h * w, quads, sizes, to.traits);
    const parts = Object.entries(images).map(([name, image]) => [name, to.images(image, range)] as const);
    const { texels, shift } = texelsOf(to, parts, twice);
    to.dispatch({
      shader: SHADER,
      entry,
      constants: { ...plain(node), ...team, ...constants, TEXELS: shift },
      params: { ...rangeParams(node, range, tiling), ...params },
      bindings: { ...Object.fromEntries(parts), ...vectors },
      texels,
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
    finish: last,
  }: {
    /** vec4f of one partial. */
    numbers: number;
    partial: {
      entry: string;
      images: Record<string, Tensor>;
      vectors: Record<string, Tensor>;
      constants?: Constants;
      twice?: readonly string[];
    };
    finish: Last;
  },
): void {
  const [, channels, h, w] = node.inputs[0].shape;
  const quads = vec4s(channels);
  // 1024 workgroups fill a large GPU; a processor needs a few for each core, and each costs the last pass.
  const team = teamOf(to.traits);
  const sizes = { workgroups: to.traits.cpu ? 16 : 1024, threads: team.THREADS };
  const ranges = to.batches(...Object.values(partial.images));
  const tilings = ranges.map((range) => tilingOf(range.count * h * w, quads, sizes, to.traits));
  const partials = tilings.reduce((sum, tiling) => sum + partialsOf(tiling, team), 0);
  const scratch: Scratch = to.scratch('partials', [partials * quads * numbers * 4], 'vector');
  let first = 0;
  ranges.forEach((range, i) => {
    const parts = Object.entries(partial.images).map(([name, image]) => [name, to.images(image, range)] as const);
    const { texels, shift } = texelsOf(to, parts, partial.twice);
    to.dispatch({
      shader: SHADER,
      entry: partial.entry,
      constants: { ...plain(node), ...team, ...partial.constants, TEXELS: shift },
      params: { ...rangeParams(node, range, tilings[i]), partials: first },
      bindings: { ...Object.fromEntries(parts), ...partial.vectors, partials: scratch },
      texels,
      workgroups: [tilings[i].groups, quads / tilings[i].width, 1],
    });
    first += partialsOf(tilings[i], team);
  });
  finish(node, to, { partials: scratch, count: partials }, last);
}

interface Last {
  entry: string;
  vectors: Record<string, Tensor | Scratch>;
  params: { momentum?: number; unbiased?: number };
}

/** The pass that adds partials up. */
function finish(
  node: Node<Attributes>,
  to: Lowering,
  { partials, count }: { partials: Tensor | Scratch; count: number },
  { entry, vectors, params }: Last,
): void {
  const quads = vec4s(node.inputs[0].shape[1]);
  const team = teamOf(to.traits);
  // A GPU hides latency with many lines of partials for each quad.
  const width = team.MERGE ? 1 : team.THREADS;
  const tiling = { width, span: 0, groups: 1 };
  to.dispatch({
    shader: SHADER,
    entry,
    constants: { ...plain(node), ...team },
    params: { ...rangeParams(node, { first: 0, count: 0 }, tiling), partials: count, ...params },
    bindings: { partials, ...vectors },
    workgroups: [1, Math.ceil(quads / width), 1],
  });
}

/** Fewer moments than there are, where the last pass would take long over them: those of a few workgroups' parts each. */
function fold(node: Node<Attributes>, to: Lowering, moments: Tensor): { partials: Tensor | Scratch; count: number } {
  const quads = vec4s(node.inputs[0].shape[1]);
  const parts = partsOf(moments, quads);
  const { cpu } = to.traits;
  if (parts <= (cpu ? FEW_MOMENTS.cpu : FEW_MOMENTS.gpu)) return { partials: moments, count: parts };
  const team = teamOf(to.traits);
  const tiling = tilingOf(parts, quads, { workgroups: cpu ? 16 : 1024, threads: team.THREADS }, to.traits);
  const count = partialsOf(tiling, team);
  const partials = to.scratch('partials', [count * quads * MOMENTS * 4], 'vector');
  to.dispatch({
    shader: SHADER,
    entry: 'foldMoments',
    constants: { ...plain(node), ...team },
    params: { ...rangeParams(node, { first: 0, count: 0 }, tiling), pixels: parts },
    bindings: { moments, partials },
    workgroups: [tiling.groups, quads / tiling.width, 1],
  });
  return { partials, count };
}
