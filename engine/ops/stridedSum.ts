import type { Binding, Lowering } from '../lowering.js';

/** y = (y or 0) + the sum of x's runs of `count` vec4s. */
export function stridedSum(
  to: Lowering,
  x: Binding,
  total: number,
  y: Binding,
  count: number,
  accumulate: boolean,
): void {
  const params = { count, total, accumulate: Number(accumulate) };
  to.dispatch({ shader: 'stridedSum', params, bindings: { x, y }, workgroups: to.flat(count) });
}
