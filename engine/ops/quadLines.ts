/**
 * Lanes over an image whose sums are taken for each channel: `width` quads side by side, and as many lines of pixels as a workgroup
 * has invocations for.
 */
import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import type { Lowering } from '../lowering.js';

/** Values a channel has. */
export const pixelsOf = ({ shape: [n, , h, w] }: Tensor): number => n * h * w;

/** The widest power of two up to 16 that divides the number of quads: a workgroup is then whole lines of quads. */
export function widthOf(quads: number, threads: number): number {
  let width = 1;
  while (width < Math.min(16, threads) && quads % (width * 2) === 0) width *= 2;
  return width;
}

/**
 * Most quads that a workgroup of `batchNorm2dSubgroup` has to itself. Batch norm and ReLU of 4x128x16x16, 4x64x32x32, 4x32x64x64, ms
 * (llvmpipe, Mesa 25.0.7, 8 lanes, two threads of a Zen 4 EPYC): 0.38, 0.42, 0.62 in passes, 0.25, 0.29, 0.51 in one; the gradients
 * of 4x32x64x64 0.83 and 0.67. On two processors larger maps gain, too; on more of them four workgroups would take longer than the
 * passes' dispatches. One quad a workgroup instead of two, so that there are eight: 0.94.
 */
const FEW = 32768;
/** Workgroups that one dispatch should have at least. */
const SHARED_BY = 4;

/** Whether a workgroup can be one subgroup that adds up its lines by shuffles. */
export const hasSubgroups = ({ cpu, subgroupSize }: DeviceTraits): boolean => cpu && subgroupSize >= 8;

/** The quads side by side in a workgroup that has all their pixels. */
export function widthOfAll(to: Lowering, quads: number): number {
  let width = widthOf(quads, to.traits.subgroupSize);
  while (width > 1 && quads / width < SHARED_BY) width /= 2;
  return width;
}

/** The same; undefined where the map takes passes. */
export function widthOfFew(to: Lowering, x: Tensor): number | undefined {
  if (!hasSubgroups(to.traits) || to.batches(x).length > 1) return undefined;
  const width = widthOfAll(to, vec4s(x.shape[1]));
  return pixelsOf(x) * width <= FEW ? width : undefined;
}
