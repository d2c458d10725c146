import type { Tensor } from '../graph.js';
import { quadBytes, quadType } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';
import type { Constants } from '../wgsl.js';

/**
 * One invocation for each four channels of tensors of one size, split over the batch where a binding is too small.
 * The shader takes `params.count` (quads in the range), `Quad` (what the first tensor holds) and whatever `params` and
 * `constants` hold.
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
    const { shape, bytes, dtype } = list[0];
    const count = (range ? (bytes / shape[0]) * range.count : bytes) / quadBytes(dtype);
    const parts = Object.entries(tensors).map(
      ([name, tensor]) => [name, range ? to.images(tensor, range) : tensor] as const,
    );
    to.dispatch({
      shader,
      entry,
      constants: { Quad: quadType(list[0].dtype), ...constants },
      params: { count, ...params },
      bindings: { ...Object.fromEntries(parts), ...shared },
      workgroups: to.flat(count),
    });
  }
}
