import type { Device } from '../engine/device.js';
import { SettingsError } from '../engine/settings.js';
import { race, type Rounds, type Timing } from '../engine/timing.js';
import { armsOf } from './arms.js';
import { measureCeilings, rooflineMs } from './ceilings.js';
import { type Cost, costOf } from './cost.js';
import { type Row, round3 } from './rows.js';
import { collectWorks, type WorkSizes } from './works.js';

export interface KernelOptions extends WorkSizes, Rounds {
  /** See `isChosen`. */
  filter?: string;
  /** Times convolutions in every form that the adapter can run, instead of that of its own rule. */
  allVariants: boolean;
}

/** Works that are timed in turn; more hold more memory at once. All forms of one are many already. */
const GROUP = 6;

/** Whether a work's name or shape has this word, in either case. */
export const isChosen = (work: string, shape: string, filter = ''): boolean =>
  `${work} ${shape}`.toLowerCase().includes(filter.toLowerCase());

/**
 * Times every different call of a training step of both nets. Convolutions are compared with the plain kernels first.
 * @param emit gets each row as soon as it is measured
 * @throws SettingsError when the filter leaves nothing
 * @throws Error when a convolution is wrong
 */
export async function benchKernels(device: Device, options: KernelOptions, emit: (row: Row) => void): Promise<void> {
  const { works, destroy } = collectWorks(device, options);
  const chosen = works.filter(({ name, shape }) => isChosen(name, shape, options.filter));
  if (chosen.length === 0) {
    const names = [...new Set(works.map(({ name }) => name))].sort();
    throw new SettingsError(`no work has "${options.filter}" in its name or shape; the works are ${names.join(', ')}`);
  }
  const ceilings = await measureCeilings(device, options);
  const of = (work: string, shape: string, variant: string, cost: Cost, timing: Timing, more = {}): Row => ({
    bench: 'kernels',
    work,
    shape,
    variant,
    ...rates(cost, timing),
    adapter: device.description,
    ...more,
  });
  for (const [kind, ceiling] of Object.entries(ceilings)) {
    if (!ceiling) continue;
    const { work, op, cost, timing } = ceiling;
    emit(of(work, '', op, cost, timing, { precision: kind === 'matrix' ? 'f16' : 'f32' }));
  }
  const group = options.allVariants ? 1 : GROUP;
  for (let first = 0; first < chosen.length; first += group) {
    const arms = [];
    for (const work of chosen.slice(first, first + group)) {
      arms.push(...(await armsOf(device, work, options.allVariants)));
    }
    const measured = await race(
      device,
      arms.map(({ plan }) => plan),
      options,
    );
    arms.forEach(({ work, variant, shaders, error, plan }, i) => {
      const { name, shape, precision } = work;
      const cost = costOf(work.node);
      const fraction = round3(rooflineMs(cost, ceilings, shaders) / measured[i].best);
      emit(of(name, shape, variant, cost, measured[i], { precision, fraction, error }));
      plan.destroy();
    });
  }
  destroy();
}

/** GFLOP/s of convolutions and of loops of multiply-adds, GB/s of everything else. */
function rates({ flop, bytes }: Cost, { best, median, worst, gpu }: Timing) {
  const rate = (ms: number): number => round3((flop || bytes) / ms / 1e6);
  return {
    value: rate(best),
    unit: flop > 0 ? ('GFLOP/s' as const) : ('GB/s' as const),
    median: rate(median),
    worst: rate(worst),
    /** By timestamps. */
    gpu: gpu ? rate(gpu) : null,
  };
}
