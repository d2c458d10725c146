/** How many micro-batches a training step takes so that it fits into the memory that there is. */
import type { Device } from '../engine/device.js';
import { planMemory } from '../engine/arrange.js';
import { Variables } from '../engine/variables.js';
import { planOptions, recordTraining, type TrainingSettings } from './trainingStep.js';

/**
 * Bytes for a training step where nobody has said how many there are. WebGPU does not tell an adapter's memory; the largest
 * buffer that it promises (4 GiB on most) is what it has at least, and a larger card needs the setting.
 */
export const defaultMemoryBudget = (device: Device): number => device.gpu.limits.maxBufferSize;

/**
 * Bytes that a training step keeps on the device: values within a step, inputs, weights, gradients, optimizer state and
 * averages. Known without making any of it; the driver's own share and the evaluation step come on top.
 */
export function trainingBytes(device: Device, settings: TrainingSettings): number {
  const variables = new Variables(device);
  const { pass, update } = recordTraining(variables, settings);
  const plans = (update ? [pass, update] : [pass]).map(({ graph, outputs }) =>
    planMemory(device, graph, { outputs, ...planOptions(settings) }),
  );
  return plans.reduce((sum, { transient, inputs }) => sum + transient + inputs, variables.plannedBytes);
}

export interface MicroBatchChoice {
  microBatches: number;
  /** Images of each. */
  images: number;
  /** What the step takes, and what it takes with the whole batch at once. */
  bytes: number;
  wholeBytes: number;
  budget: number;
  /** False: even the smallest part is more than the budget, and is chosen all the same. */
  fits: boolean;
}

/**
 * The fewest equal micro-batches of `settings.batch` with which a training step stays within the budget.
 * @param settings `microBatches` in it is not looked at
 * @param budget bytes
 */
export function chooseMicroBatches(
  device: Device,
  settings: TrainingSettings,
  budget: number = defaultMemoryBudget(device),
): MicroBatchChoice {
  const { batch } = settings;
  const divisors = Array.from({ length: batch }, (_, i) => i + 1).filter((parts) => batch % parts === 0);
  const choose = (microBatches: number, bytes: number, wholeBytes: number): MicroBatchChoice => ({
    microBatches,
    images: batch / microBatches,
    bytes,
    wholeBytes,
    budget,
    fits: bytes <= budget,
  });
  const wholeBytes = trainingBytes(device, { ...settings, microBatches: 1 });
  let choice = choose(1, wholeBytes, wholeBytes);
  for (const microBatches of divisors.slice(1)) {
    if (choice.fits) break;
    try {
      choice = choose(microBatches, trainingBytes(device, { ...settings, microBatches }), wholeBytes);
    } catch (error) {
      // Where the bottom of the net has a single pixel, batch norm refuses a single image: a part cannot be that small.
      if (!/^batchNorm2d: /.test((error as Error).message)) throw error;
      break;
    }
  }
  return choice;
}

/** One line for people. */
export function describeMicroBatches({
  microBatches,
  images,
  bytes,
  wholeBytes,
  budget,
  fits,
}: MicroBatchChoice): string {
  const size = (n: number) => (n >= 2 ** 30 ? `${(n / 2 ** 30).toFixed(2)} GiB` : `${(n / 2 ** 20).toFixed(1)} MiB`);
  const of = `of ${images} ${images === 1 ? 'image' : 'images'}`;
  if (microBatches === 1 && fits)
    return `the batch ${of} is run at once: ${size(bytes)} of a budget of ${size(budget)}`;
  const whole = `at once it would take ${size(wholeBytes)}, the budget is ${size(budget)}`;
  const warning = fits ? '' : '; that is more than the budget: use a smaller size or width, or a larger budget';
  if (microBatches === 1) return `the batch ${of} takes ${size(bytes)}${warning}`;
  return `${microBatches} micro-batches ${of}, ${size(bytes)} (${whole}); batch norm sees ${images} at a time${warning}`;
}
