import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { quadBytes, quadType } from '../layout.js';
import type { Binding, Lowering } from '../lowering.js';
import type { Constants } from '../wgsl.js';

/**
 * The invocations of a workgroup, and the quads that it takes, which lie together. On a processor a workgroup is one subgroup that
 * goes on along its quads; a graphics card wants an invocation for each. Copies of 4 MiB (llvmpipe, Mesa 25.0.7, 8 lanes, two
 * threads of a Zen 4 EPYC): 17 GB/s in 64 such workgroups, 16 in 512; 14 in workgroups of 64 whose invocations take 4 quads each.
 */
function spread({ cpu, subgroupSize }: DeviceTraits, count: number): { THREADS: number; span: number } {
  if (!cpu) return { THREADS: 64, span: 64 };
  const THREADS = Math.max(8, subgroupSize);
  return { THREADS, span: THREADS * Math.max(Math.ceil(count / (64 * THREADS)), 4) };
}

/**
 * Over the quads of tensors of one size, split over the batch where a binding is too small. The shader takes THREADS,
 * `params.count` (quads in the range) and `params.span` (of a workgroup), `Quad` (what the first tensor holds) and whatever
 * `params` and `constants` hold.
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
    const { THREADS, span } = spread(to.traits, count);
    to.dispatch({
      shader,
      entry,
      constants: { Quad: quadType(list[0].dtype), ...constants, THREADS },
      params: { count, span, ...params },
      bindings: { ...Object.fromEntries(parts), ...shared },
      workgroups: to.flat(count, span),
    });
  }
}
