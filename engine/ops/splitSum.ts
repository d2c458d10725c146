import type { Tensor } from '../graph.js';
import type { Binding, ImageRange, Lowering } from '../lowering.js';
import { stridedSum } from './stridedSum.js';

/** Most bytes of partial filters. */
const PARTIAL_BYTES = 64 * 2 ** 20;

export interface LongSum {
  /** How many the sum has for that many images. */
  units: (images: number) => number;
  /** Of one split. */
  workgroups: number;
  /** A split takes a multiple of `step` units, and at least `least` where there are so many. */
  step: number;
  least?: number;
  /** Of the filter. */
  bytes: number;
}

export interface Part {
  /** Of the batch. */
  range: ImageRange;
  /** Units of the sum that each of the `splits` takes; the last one takes the rest. */
  perSplit: number;
  splits: number;
  /** Gets one filter for each split, one after the other. */
  partial: Binding;
}

/**
 * A gradient of a filter whose long sum is split over workgroups: `dispatch` writes partial filters, which are then added
 * in a fixed order.
 * @param images of x and y, for the parts of the batch
 */
export function splitSum(
  to: Lowering,
  dw: Binding,
  images: readonly Tensor[],
  { units, workgroups, step, least = 0, bytes }: LongSum,
  dispatch: (part: Part) => void,
): void {
  // Enough workgroups to fill the adapter, as far as the partial filters stay within bounds.
  const wanted = Math.ceil((to.traits.cpu ? 64 : 1024) / workgroups);
  const most = Math.floor(Math.min(PARTIAL_BYTES, to.traits.maxBindingBytes) / bytes);
  const parts = to.batches(...images).map((range) => {
    const all = units(range.count);
    const share = Math.max(all / Math.max(1, Math.min(wanted, most)), least);
    const perSplit = Math.min(all, Math.ceil(share / step) * step);
    return { range, perSplit, splits: Math.ceil(all / perSplit) };
  });
  const splits = Math.max(...parts.map((part) => part.splits));
  const direct = parts.length === 1 && splits === 1;
  const partial: Binding = direct ? dw : to.scratch('partial filters', [(splits * bytes) / 4], 'vector');
  parts.forEach((part, i) => {
    dispatch({ ...part, partial });
    if (!direct) stridedSum(to, partial, (part.splits * bytes) / 16, dw, bytes / 16, i > 0);
  });
}
