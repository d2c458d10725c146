import type { Tensor } from '../graph.js';
import { byteLength } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';
import type { Constants } from '../wgsl.js';

/**
 * One invocation for each vec4f of tensors of one size, split over the batch where a binding is too small.
 * The shader takes `params.count` (vec4f in the range) and whatever `params` holds.
 */
export function elementwise(
  to: Lowering,
  shader: string,
  tensors: Record<string, Tensor>,
  {
    entry,
    constants,
    params,
    shared,
  }: {
    entry?: string;
    constants?: Constants;
    params?: Record<string, number>;
    shared?: Record<string, Binding>;
  } = {},
): void {
  const list = Object.values(tensors);
  const ranges = list[0].layout === 'image' ? to.batches(...list) : [undefined];
  for (const range of ranges) {
    const bytes = byteLength(list[0].shape, list[0].layout);
    const count = (range ? (bytes / list[0].shape[0]) * range.count : bytes) / 16;
    const parts = Object.entries(tensors).map(
      ([name, tensor]) => [name, range ? to.images(tensor, range) : tensor] as const,
    );
    to.dispatch({
      shader,
      entry,
      constants,
      params: { count, ...params },
      bindings: { ...Object.fromEntries(parts), ...shared },
      workgroups: to.flat(count),
    });
  }
}
