/**
 * Long sums, in an order that depends on the sizes alone: every invocation adds up a few numbers one after the other,
 * and passes follow until one number is left. Rounding grows with the number of passes, not with the length. Workgroup
 * memory is not used: its barriers are dear on a software adapter, and a pass costs about 30 microseconds there
 * (lavapipe, two cores).
 */
import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { quadBytes } from '../layout.js';
import type { Binding, Lowering, Storage } from '../lowering.js';
import type { Constants } from '../wgsl.js';

/** vec4f that one invocation of a pass adds up. */
const RUN = 32;
/**
 * vec4f that one invocation of a `terms` kernel takes from an image before it writes its part of the sum: on a graphics card, and at
 * most on a processor, where fewer parts save a pass.
 */
const TERMS_RUN = 16;
const CPU_TERMS_RUN = 256;

/** Rows to sum, as an array [rows][length][inner] of vec4f; several sources continue each other's rows. */
export interface Rows {
  sources: readonly { binding: Binding; rows: number }[];
  length: number;
  /** vec4f beside each other that are summed apart: the channels of an image, say. Default 1. */
  inner?: number;
}

/**
 * Multiplied by `scale`; with `across` the four lanes are added too, and the sum is a scalar in the first lane. The
 * first row's sum goes into the target's row `firstRow`, default 0.
 */
export interface SumOptions {
  scale?: number;
  across?: boolean;
  firstRow?: number;
}

/** target[firstRow + row][inner] = scale * the sum over the row. */
export const sumRows = (to: Lowering, rows: Rows, target: Storage, options: SumOptions = {}): void =>
  pass(to, foldRows(to, rows, RUN), 1, target, options);

/** Rows of at most `most` vec4f, each of which is a sum of one or several of those given. */
export function foldRows(to: Lowering, rows: Rows, most: number): Rows {
  const { sources, length, inner = 1 } = rows;
  if (length <= most) return rows;
  const parts = Math.ceil(length / RUN);
  const count = sources.reduce((sum, source) => sum + source.rows, 0);
  const out = to.scratch(`sum of ${length}`, [count * parts * inner * 4], 'vector');
  pass(to, rows, parts, out, {});
  return foldRows(to, { sources: [{ binding: out, rows: count }], length: parts, inner }, most);
}

/** Rows of `parts` vec4f from longer ones. */
function pass(
  to: Lowering,
  { sources, length, inner = 1 }: Rows,
  parts: number,
  target: Storage,
  { scale = 1, across = false, firstRow = 0 }: SumOptions,
): void {
  let row = firstRow;
  for (const source of sources) {
    to.dispatch({
      shader: 'sumRows',
      constants: { ACROSS: across },
      params: { rows: source.rows, length, inner, parts, firstRow: row, scale },
      bindings: { x: source.binding, y: target },
      workgroups: to.flat(source.rows * parts * inner),
    });
    row += source.rows;
  }
}

/**
 * How workgroups go over images of `length` vec4f: `groups` of THREADS an image take `span` that lie together. On a graphics card
 * an invocation takes `run`; on a processor a workgroup is one subgroup, and longer runs leave fewer sums.
 */
function spread({ cpu, subgroupSize }: DeviceTraits, length: number, images: number, run: number) {
  const THREADS = cpu ? Math.max(8, subgroupSize) : 64;
  const each = cpu ? Math.min(Math.max(Math.ceil((length * images) / (32 * THREADS)), 16), CPU_TERMS_RUN) : run;
  const span = THREADS * each;
  return { THREADS, span, groups: Math.ceil(length / span) };
}

/**
 * Dispatches a kernel over the vec4f of images of a batch, in as many ranges of the batch as bindings need. Workgroup (x, y)
 * takes the vec4f x * span .. x * span + span - 1 of image y of the range. The shader gets THREADS, `first` (image of the range),
 * `length` (vec4f an image of the first tensor), `span` and `params`.
 * @param run vec4f an invocation takes on a graphics card
 * @param shared bound whole, whatever the range
 */
export function overImages(
  to: Lowering,
  { shader, entry, run, constants }: { shader: string; entry: string; run: number; constants?: Constants },
  tensors: Record<string, Tensor>,
  params: Record<string, number>,
  shared: Record<string, Binding>,
): void {
  const list = Object.values(tensors);
  const length = vec4sOfImage(list[0]);
  const { THREADS, span, groups } = spread(to.traits, length, list[0].shape[0], run);
  for (const range of to.batches(...list)) {
    const bound = Object.entries(tensors).map(([name, tensor]) => [name, to.images(tensor, range)] as const);
    to.dispatch({
      shader,
      entry,
      constants: { ...constants, THREADS },
      params: { first: range.first, length, span, ...params },
      bindings: { ...Object.fromEntries(bound), ...shared },
      workgroups: [groups, range.count, 1],
    });
  }
}

const vec4sOfImage = ({ shape, bytes, dtype }: Tensor): number => bytes / shape[0] / quadBytes(dtype);

interface TermsOptions {
  /** vec4f beside each other that are summed apart. Default 1. */
  inner?: number;
  constants?: Constants;
}

/**
 * What the shader's entry point `terms` computes from images: a row of parts for each image, one after the other. `terms` is called
 * as `overImages` says, and invocation l of workgroup (x, y) writes sums[(((first + y) * groups + x) * THREADS + l) * inner + ...],
 * `inner` vec4f.
 */
export function termRows(
  to: Lowering,
  shader: string,
  tensors: Record<string, Tensor>,
  params: Record<string, number>,
  { inner = 1, constants }: TermsOptions = {},
): Required<Rows> {
  const [first] = Object.values(tensors);
  const images = first.shape[0];
  const { THREADS, groups } = spread(to.traits, vec4sOfImage(first), images, TERMS_RUN);
  const length = groups * THREADS;
  const sums = to.scratch('terms', [images * length * inner * 4], 'vector');
  overImages(to, { shader, entry: 'terms', run: TERMS_RUN, constants }, tensors, params, { sums });
  return { sources: [{ binding: sums, rows: images }], length, inner };
}

/** The sum of these terms: with `perImage` one for each image, else one for the batch. */
export function sumTerms(
  to: Lowering,
  shader: string,
  tensors: Record<string, Tensor>,
  params: Record<string, number>,
  target: Storage,
  { perImage = false, inner, constants, ...options }: TermsOptions & SumOptions & { perImage?: boolean } = {},
): void {
  const rows = termRows(to, shader, tensors, params, { inner, constants });
  const [{ binding, rows: images }] = rows.sources;
  const whole = { ...rows, sources: [{ binding, rows: 1 }], length: rows.length * images };
  sumRows(to, perImage ? rows : whole, target, options);
}
