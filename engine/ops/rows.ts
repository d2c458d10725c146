import type { DeviceTraits } from '../device.js';
import { vec4s } from '../layout.js';
import type { Lowering } from '../lowering.js';

interface Rows {
  rows: number;
  images: number;
  /** Pixels, or whatever else a row has `quads` of. */
  columns: number;
  quads: number;
}

/** Rows of an image of this shape, so many of the batch. */
export const rowsOf = ([, channels, height, width]: readonly number[], images: number): Rows => ({
  rows: height,
  images,
  columns: width,
  quads: vec4s(channels),
});

/** @throws Error when there are more rows than a dispatch takes, or a row is longer than the kernels' division in float32 allows */
function check({ traits }: Lowering, what: unknown, { rows, images, columns, quads }: Rows): void {
  const most = traits.maxWorkgroups;
  if (rows > most || images > most || columns * quads >= 2 ** 20) {
    const limits = `${most} rows and images, and ${2 ** 20} groups of four channels in a row`;
    throw new Error(`${what} is too large: kernels take ${limits}`);
  }
}

/** On a processor a workgroup is one subgroup. */
const threadsOf = ({ cpu, subgroupSize }: DeviceTraits): number => (cpu ? Math.max(8, subgroupSize) : 64);

/** Workgroups that keep a processor busy. */
const ENOUGH = 64;

/**
 * How a kernel goes over the vec4f of images row by row: THREADS in a workgroup, x along the row (column * quads + quad), y rows, z
 * images; a thread goes on by `num_workgroups.x * THREADS`. Kernels that need coordinates take these instead of a flat index,
 * because integer division is dear on a processor: without it max pooling's two passes over [2, 64, 64, 64] took 5.3 ms
 * of processor time instead of 14.2 (lavapipe, 8 lanes, EPYC, November 2026). On a processor a workgroup has a whole row, so that
 * it finds its place once.
 * @param what is gone over, for the error when it is too large
 */
export function overRows(
  to: Lowering,
  what: unknown,
  over: Rows,
): { THREADS: number; workgroups: [number, number, number] } {
  check(to, what, over);
  const { rows, images, columns, quads } = over;
  const THREADS = threadsOf(to.traits);
  const most = to.traits.cpu ? Math.max(1, Math.floor(ENOUGH / (rows * images))) : Infinity;
  return { THREADS, workgroups: [Math.min(Math.ceil((columns * quads) / THREADS), most), rows, images] };
}

/** The same for a kernel whose threads walk down `run` rows each; on a graphics card it is one. */
export function downRows(
  to: Lowering,
  what: unknown,
  over: Rows,
): { THREADS: number; run: number; workgroups: [number, number, number] } {
  check(to, what, over);
  const { rows, images, columns, quads } = over;
  const THREADS = threadsOf(to.traits);
  const across = Math.ceil((columns * quads) / THREADS);
  const run = to.traits.cpu ? Math.min(rows, Math.max(1, Math.floor((across * rows * images) / ENOUGH)), 32) : 1;
  return { THREADS, run, workgroups: [across, Math.ceil(rows / run), images] };
}
