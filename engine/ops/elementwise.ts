import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { quadBytes, quadType } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';
import type { Constants } from '../wgsl.js';

/**
 * Quads of an invocation, a workgroup's lying together: a graphics card wants more invocations instead. Sums of
 * 4x16x64x64 (llvmpipe, Mesa 25.0.7, 8 lanes, two threads of a 2.5 GHz Xeon): 5.1 GB/s with 1, 6.1 with 4, 6.0 with 8.
 */
const runOf = ({ cpu }: DeviceTraits): number => (cpu ? 4 : 1);

/**
 * An invocation for every RUN times four channels of tensors of one size, split over the batch where a binding is too small.
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
  const run = runOf(to.traits);
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
      constants: { Quad: quadType(list[0].dtype), ...constants, RUN: run },
      params: { count, ...params },
      bindings: { ...Object.fromEntries(parts), ...shared },
      workgroups: to.flat(Math.ceil(count / run)),
    });
  }
}
