import type { Device } from '../engine/device.js';
import { relativeError, roundingOf, runAlone } from '../engine/isolate.js';
import type { Plan } from '../engine/plan.js';
import { SettingsError } from '../engine/settings.js';
import { race, type Rounds, type Timing } from '../engine/timing.js';
import { type Ceilings, measureCeilings, rooflineMs } from './ceilings.js';
import { type Cost, costOf, isConvolution } from './cost.js';
import { type Row, round3 } from './rows.js';
import { collectWorks, type Work, type WorkSizes } from './works.js';

export interface KernelOptions extends WorkSizes, Rounds {
  /** See `isChosen`. */
  filter?: string;
  /** Times the plain kernels and every other form that the adapter can run, instead of those of its own rule. */
  allVariants: boolean;
}

/** Works that are timed in turn; more hold more memory at once. */
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
  const { timings, costs } = ceilings;
  const of = (work: string, variant: string, cost: Cost, timing: Timing, more = {}): Row => ({
    bench: 'kernels',
    work,
    shape: '',
    variant,
    ...rates(cost, timing),
    adapter: device.description,
    ...more,
  });
  emit(of('ceiling: multiply-adds', 'ceilingFma', costs.fma, timings.fma));
  emit(of('ceiling: copy', 'ceilingCopy', costs.copy, timings.copy));
  for (let first = 0; first < chosen.length; first += GROUP) {
    const arms = await prepare(device, chosen.slice(first, first + GROUP), options.allVariants);
    const measured = await race(
      device,
      arms.map(({ plan }) => plan),
      options,
    );
    arms.forEach(({ work, variant, error, plan }, i) => {
      const cost = costOf(work.node);
      const { shape } = work;
      const fraction = fractionOf(cost, measured[i], ceilings);
      emit(of(work.name, variant, cost, measured[i], { shape, fraction, error }));
      plan.destroy();
    });
  }
  destroy();
}

const fractionOf = (cost: Cost, { best }: Timing, ceilings: Ceilings): number =>
  round3(rooflineMs(cost, ceilings) / best);

/** GFLOP/s of convolutions and of the loop of multiply-adds, GB/s of everything else. */
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

interface Arm {
  work: Work;
  /** The shaders, in order. */
  variant: string;
  plan: Plan;
  /** Against the plain kernels; null for ops that have one kernel only. */
  error: number | null;
}

/** Plans of the works in each form that is asked for. */
async function prepare(device: Device, works: readonly Work[], allVariants: boolean): Promise<Arm[]> {
  const arms: Arm[] = [];
  for (const work of works) {
    if (!isConvolution(work.node)) {
      // Other ops take variances and probabilities.
      const { plan } = await runAlone(device, work.node, [0.1, 0.9]);
      arms.push({ work, variant: shadersOf(plan), plan, error: null });
      continue;
    }
    const { subgroupSize, maxTexelBytes } = device.traits;
    const others = [device.withKernels('tiled')];
    if (subgroupSize >= 8) others.push(device.withKernels('subgroup', false));
    if (maxTexelBytes > 0) others.push(device.withKernels('subgroup'));
    const plain = await runAlone(device.withKernels('plain'), work.node, [-1, 1]);
    const reference = await plain.result();
    if (allVariants) arms.push({ work, variant: shadersOf(plain.plan), plan: plain.plan, error: 0 });
    else plain.plan.destroy();
    for (const other of allVariants ? others : [device]) {
      const { plan, result } = await runAlone(other, work.node, [-1, 1]);
      const variant = shadersOf(plan);
      const error = relativeError(await result(), reference);
      if (!(error <= roundingOf(work.node))) {
        throw new Error(
          `${work.name} ${work.shape}: ${variant} differs from the plain kernels by ${error} of the largest value`,
        );
      }
      arms.push({ work, variant, plan, error: Number(error.toExponential(1)) });
    }
  }
  return arms;
}

const shadersOf = (plan: Plan): string =>
  [...new Set(plan.dispatches.map(({ shader, texels }) => shader + (texels.length > 0 ? ' (texels)' : '')))].join('+');
