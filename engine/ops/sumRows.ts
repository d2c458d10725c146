/**
 * Long sums, in an order that depends on the sizes alone: every invocation adds up a few numbers one after the other,
 * and passes follow until one number is left. Rounding grows with the number of passes, not with the length. Workgroup
 * memory is not used: its barriers are dear on a software adapter, and a pass costs about 30 microseconds there
 * (lavapipe, two cores).
 */
import type { Tensor } from '../graph.js';
import { quadBytes } from '../layout.js';
import type { Binding, Lowering, Storage } from '../lowering.js';
import type { Constants } from '../wgsl.js';

/** vec4f that one invocation of a pass adds up. */
const RUN = 32;

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
export function sumRows(
  to: Lowering,
  { sources, length, inner = 1 }: Rows,
  target: Storage,
  options: SumOptions = {},
): void {
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  const parts = Math.ceil(length / RUN);
  const last = parts === 1;
  const out = last ? target : to.scratch(`sum of ${length}`, [rows * parts * inner * 4], 'vector');
  let firstRow = last ? (options.firstRow ?? 0) : 0;
  for (const source of sources) {
    to.dispatch({
      shader: 'sumRows',
      constants: { ACROSS: last && options.across === true },
      params: { rows: source.rows, length, inner, parts, firstRow, scale: last ? (options.scale ?? 1) : 1 },
      bindings: { x: source.binding, y: out },
      workgroups: to.flat(source.rows * parts * inner),
    });
    firstRow += source.rows;
  }
  if (!last) sumRows(to, { sources: [{ binding: out, rows }], length: parts, inner }, target, options);
}

/** vec4f that one invocation of a `terms` kernel takes from an image before it writes its part of the sum. */
const TERMS_RUN = 16;

/**
 * Dispatches a kernel over the vec4f of images of a batch, in as many ranges of the batch as bindings need. The shader
 * gets `images` and `first` (the range), `length` (vec4f an image of the first tensor), `parts` (invocations an image:
 * number k takes k, k + parts, ...) and `params`.
 * @param run vec4f an invocation takes
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
  const parts = Math.ceil(length / run);
  for (const range of to.batches(...list)) {
    const bound = Object.entries(tensors).map(([name, tensor]) => [name, to.images(tensor, range)] as const);
    to.dispatch({
      shader,
      entry,
      constants,
      params: { images: range.count, first: range.first, length, parts, ...params },
      bindings: { ...Object.fromEntries(bound), ...shared },
      workgroups: to.flat(range.count * parts),
    });
  }
}

const vec4sOfImage = ({ shape, bytes, dtype }: Tensor): number => bytes / shape[0] / quadBytes(dtype);

interface TermsOptions extends SumOptions {
  /** A sum for each image instead of one for the batch. */
  perImage?: boolean;
  /** vec4f beside each other that are summed apart. Default 1. */
  inner?: number;
  constants?: Constants;
}

/**
 * The sum of what the shader's entry point `terms` computes from images, over the batch or per image. `terms` is called
 * as `overImages` says, and writes sums[((first + image) * parts + part) * inner + ...], `inner` vec4f.
 */
export function sumTerms(
  to: Lowering,
  shader: string,
  tensors: Record<string, Tensor>,
  params: Record<string, number>,
  target: Storage,
  { perImage = false, inner = 1, constants, ...options }: TermsOptions = {},
): void {
  const [first] = Object.values(tensors);
  const images = first.shape[0];
  const parts = Math.ceil(vec4sOfImage(first) / TERMS_RUN);
  const sums = to.scratch('terms', [images * parts * inner * 4], 'vector');
  overImages(to, { shader, entry: 'terms', run: TERMS_RUN, constants }, tensors, params, { sums });
  const rows = perImage ? images : 1;
  sumRows(to, { sources: [{ binding: sums, rows }], length: (images * parts) / rows, inner }, target, options);
}
