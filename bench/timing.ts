import type { Device } from '../engine/device.js';
import type { Plan } from '../engine/plan.js';

/** Milliseconds of one step: the best and the median of the rounds. */
export interface Timing {
  best: number;
  median: number;
}

/** Times plans in turn, round after round, so that a busy machine hits them all alike. Each round lasts about `ms`. */
export async function race(device: Device, plans: readonly Plan[], rounds: number, ms = 200): Promise<Timing[]> {
  const done = () => device.wait(device.gpu.queue.onSubmittedWorkDone());
  const repeat = async (plan: Plan, count: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < count; i++) plan.run();
    await done();
    return (performance.now() - start) / count;
  };
  const counts: number[] = [];
  for (const plan of plans) {
    await repeat(plan, 1);
    counts.push(Math.max(1, Math.round(ms / (await repeat(plan, 1)))));
  }
  const times: number[][] = plans.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, plan] of plans.entries()) times[i].push(await repeat(plan, counts[i]));
  }
  return times.map((list) => {
    list.sort((a, b) => a - b);
    return { best: list[0], median: list[list.length >> 1] };
  });
}
