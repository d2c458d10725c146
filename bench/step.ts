import type { Device } from '../engine/device.js';
import { describeMemory } from '../engine/memory.js';
import { Random } from '../engine/random.js';
import { Variables } from '../engine/variables.js';
import type { NetworkName } from '../nets/networks.js';
import { EvaluationStep, type TrainingSettings, TrainingStep } from '../nets/steps.js';
import { race } from './timing.js';

export interface StepWork {
  net: NetworkName;
  size: number;
  baseWidth: number;
  batch: number;
  /** Print the memory of the training step by tensor. */
  memory: boolean;
}

/** Prints images per second of a training and an evaluation step of a net with its loss and optimizer, on random photos. */
export async function benchStep(
  device: Device,
  { net, size, baseWidth, batch, memory }: StepWork,
  rounds: number,
): Promise<void> {
  const settings: TrainingSettings = {
    net,
    size,
    baseWidth,
    batch,
    loss: 'bce-dice',
    optimizer: { kind: 'adam' },
    clipNorm: 1,
    seed: 1,
    initialisation: 'pytorch',
  };
  const variables = new Variables(device);
  const training = await TrainingStep.compile(device, variables, settings);
  const evaluation = await EvaluationStep.compile(device, variables, settings);
  if (memory) console.log(describeMemory(training.plan.memory));
  const random = new Random('bench');
  const pixels = Uint8Array.from({ length: batch * size * size * 4 }, () => random.integer(256));
  const identity = [1, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0];
  const parameters = Float32Array.from({ length: batch * 16 }, (_, i) => identity[i % 16]);
  training.run(pixels, parameters, 1e-4, 1);
  const { loss } = await training.result();
  if (!Number.isFinite(loss)) throw new Error(`the loss of the first step is ${loss}`);
  evaluation.run(pixels, parameters);

  const timings = await race(device, [training.plan, evaluation.plan], rounds);
  [training, evaluation].forEach(({ plan }, i) => {
    const line = {
      bench: 'step',
      work: i === 0 ? 'train' : 'infer',
      net,
      base_width: baseWidth,
      size,
      batch,
      precision: 'f32',
      images_per_second: Number(((1000 * batch) / timings[i].best).toPrecision(3)),
      median: Number(((1000 * batch) / timings[i].median).toPrecision(3)),
      dispatches: plan.dispatchCount,
      peak_bytes: plan.memory.transient + plan.memory.inputs + variables.bytes,
      live_bytes: plan.memory.peak,
      compile_ms: Math.round(plan.compileMs),
      adapter: device.description,
    };
    console.log(JSON.stringify(line));
  });
}
