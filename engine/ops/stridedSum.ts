import { type Dtype, quadType } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';

/** y = (y or 0) + the sum of x's runs of `count` vec4s. @param dtype of x @param into of y */
export function stridedSum(
  to: Lowering,
  x: Binding,
  total: number,
  y: Binding,
  count: number,
  accumulate: boolean,
  dtype: Dtype = 'f32',
  into: Dtype = 'f32',
): void {
  const params = { count, total, accumulate: Number(accumulate) };
  const constants = { Quad: quadType(dtype), To: quadType(into) };
  to.dispatch({ shader: 'stridedSum', constants, params, bindings: { x, y }, workgroups: to.flat(count) });
}
