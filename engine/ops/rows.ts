import type { Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import type { ImageRange, Lowering } from '../lowering.js';

/**
 * Workgroups of 64 invocations for a kernel that takes its vec4f of an image by rows: x counts the row's vec4f
 * (column * quads + quad), y the rows, z the images. Kernels that need coordinates take these instead of a flat index,
 * because integer division is dear on a processor: without it max pooling's two passes over [2, 64, 64, 64] took 5.3 ms
 * of processor time instead of 14.2 (lavapipe, 8 lanes, EPYC, November 2026).
 * @param quads vec4f of a pixel to go over; all of them by default
 * @throws Error when the image is longer than a dispatch, or a row longer than the kernels' division in float32 allows
 */
export function rowGroups(
  to: Lowering,
  image: Tensor,
  range: ImageRange,
  quads = vec4s(image.shape[1]),
): [number, number, number] {
  const [, , height, width] = image.shape;
  const most = to.traits.maxWorkgroups;
  if (height > most || range.count > most || width * quads >= 2 ** 20) {
    const limits = `${most} rows and images, and ${2 ** 20} groups of four channels in a row`;
    throw new Error(`${image} is too large: kernels take ${limits}`);
  }
  return [Math.ceil((width * quads) / 64), height, range.count];
}
