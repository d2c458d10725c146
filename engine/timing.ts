import type { Device } from './device.js';
import type { Plan } from './plan.js';

/** Milliseconds of one run of a plan, over the rounds. */
export interface Timing {
  best: number;
  median: number;
  worst: number;
  /** Median of the sums over the dispatches by the adapter's own clock; undefined where nobody asked it, or it has no timestamps. */
  gpu?: number;
}

export interface Rounds {
  /** How often each plan is timed. */
  rounds: number;
  /** About how long a plan runs in each round, milliseconds. */
  roundMs: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.slice().sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const hasTimestamps = (device: Device): boolean => device.gpu.features.has('timestamp-query');

/**
 * Times plans in turn, round after round, so that a busy machine hits them all alike.
 * @param stamped also by the adapter's own clock, where it has timestamps
 */
export async function race(
  device: Device,
  plans: readonly Plan[],
  { rounds, roundMs }: Rounds,
  stamped = true,
): Promise<Timing[]> {
  const repeat = async (plan: Plan, count: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < count; i++) plan.run();
    await device.wait(device.gpu.queue.onSubmittedWorkDone());
    return (performance.now() - start) / count;
  };
  const counts: number[] = [];
  for (const plan of plans) {
    await repeat(plan, 1);
    counts.push(Math.max(1, Math.round(roundMs / (await repeat(plan, 1)))));
  }
  const wall: number[][] = plans.map(() => []);
  const gpu: number[][] = plans.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, plan] of plans.entries()) {
      wall[i].push(await repeat(plan, counts[i]));
      if (!stamped || !hasTimestamps(device)) continue;
      const spans = await dispatchTimes(device, plan);
      gpu[i].push(spans.reduce((sum, { begin, end }) => sum + (end - begin), 0));
    }
  }
  return wall.map((times, i) => ({
    best: Math.min(...times),
    median: median(times),
    worst: Math.max(...times),
    gpu: gpu[i].length > 0 ? median(gpu[i]) : undefined,
  }));
}

/** Milliseconds by the adapter's clock, from the begin of the first dispatch. */
export interface Span {
  begin: number;
  end: number;
}

/** WebGPU's largest query set holds 4096, two for each dispatch. */
const DISPATCHES_OF_A_SET = 2048;

/** Runs a plan once and gives the time of each of its dispatches. The device has to have timestamps. */
export async function dispatchTimes(device: Device, plan: Plan): Promise<Span[]> {
  const { gpu } = device;
  const sets: GPUQuerySet[] = [];
  const counts: number[] = [];
  for (let first = 0; first < plan.dispatchCount; first += DISPATCHES_OF_A_SET) {
    counts.push(2 * Math.min(DISPATCHES_OF_A_SET, plan.dispatchCount - first));
    sets.push(gpu.createQuerySet({ type: 'timestamp', count: counts[counts.length - 1] }));
  }
  const bytes = plan.dispatchCount * 16;
  const buffer = device.createBuffer('timestamps', bytes, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
  try {
    plan.run({
      timestamps: (dispatch) => {
        const at = 2 * (dispatch % DISPATCHES_OF_A_SET);
        return { querySet: sets[Math.floor(dispatch / DISPATCHES_OF_A_SET)], begin: at, end: at + 1 };
      },
    });
    const encoder = gpu.createCommandEncoder();
    sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, counts[i], buffer, i * DISPATCHES_OF_A_SET * 16));
    gpu.queue.submit([encoder.finish()]);
    const [copy] = await device.read([{ buffer, offset: 0, bytes }]);
    const nanoseconds = new BigUint64Array(copy);
    const ms = (i: number): number => Number(nanoseconds[i] - nanoseconds[0]) / 1e6;
    return Array.from({ length: plan.dispatchCount }, (_, i) => ({ begin: ms(2 * i), end: ms(2 * i + 1) }));
  } finally {
    buffer.destroy();
    sets.forEach((set) => set.destroy());
  }
}
