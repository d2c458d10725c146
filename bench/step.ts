import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityAugmentation } from '../data/augment.js';
import { openDevice } from '../engine/dawn.js';
import type { Device, FormChooser } from '../engine/device.js';
import { describeMemory } from '../engine/memory.js';
import type { Plan } from '../engine/plan.js';
import { Random } from '../engine/random.js';
import { median, race, type Rounds } from '../engine/timing.js';
import { Variables } from '../engine/variables.js';
import { EvaluationStep } from '../nets/evaluationStep.js';
import type { NetworkName } from '../nets/networks.js';
import { type TrainingSettings, TrainingStep } from '../nets/trainingStep.js';
import { type Row, round3 } from './rows.js';
import { stepSettings, type WorkSizes } from './works.js';

export interface StepOptions extends WorkSizes, Rounds {
  net: NetworkName;
  adapter?: string;
  /** See `TrainingSettings`. */
  checkpointActivations?: boolean;
  /** Leaves compile times out; with the cache empty, compiling may take longer than everything else. */
  skipCompile?: boolean;
}

export const settingsOf = ({ net, checkpointActivations, ...sizes }: StepOptions): TrainingSettings => ({
  ...stepSettings(net, sizes),
  checkpointActivations,
});

/** A training and an evaluation step of one net on random photos, each run once. */
export interface Steps {
  training: TrainingStep;
  evaluation: EvaluationStep;
  variables: Variables;
  /** Submits one step, its photos uploaded. */
  train(on?: TrainingStep): void;
  infer(on?: EvaluationStep): void;
}

/** @throws Error when the first step's loss is not finite */
export async function prepareSteps(device: Device, options: StepOptions): Promise<Steps> {
  const { batch, size } = options;
  const settings = settingsOf(options);
  const variables = new Variables(device);
  const training = await TrainingStep.compile(device, variables, settings);
  const evaluation = await EvaluationStep.compile(device, variables, settings);
  const random = new Random('bench');
  const pixels = Uint8Array.from({ length: batch * size * size * 4 }, (_, i) => random.integer(i % 4 === 3 ? 3 : 256));
  const one = identityAugmentation();
  const parameters = Float32Array.from({ length: batch * one.length }, (_, i) => one[i % one.length]);
  const train = (on = training) => on.run(pixels, parameters, 1e-4, 1);
  const infer = (on = evaluation) => on.run(pixels, parameters);
  train();
  const { loss } = await training.result();
  if (!Number.isFinite(loss)) throw new Error(`the loss of the first step is ${loss}`);
  infer();
  await evaluation.result();
  return { training, evaluation, variables, train, infer };
}

/** Prints the memory of the training step by tensor. */
export const memoryOf = ({ training }: Steps): string => describeMemory(training.plan.memory);

/** Rows of the training and the inference step. */
export async function benchStep(device: Device, steps: Steps, options: StepOptions): Promise<Row[]> {
  const { net, precision, size, baseWidth, batch, checkpointActivations, skipCompile } = options;
  const { training, evaluation, variables, train, infer } = steps;
  const timings = await race(device, [training.plan, evaluation.plan], options);
  const rows: Row[] = [];
  for (const [i, { plan }] of [training, evaluation].entries()) {
    const work = i === 0 ? 'train' : 'infer';
    const { best, median, worst, gpu } = timings[i];
    const rate = (ms: number): number => round3((1000 * batch) / ms);
    const compile = skipCompile ? undefined : await compileTimes(work, options, device.traits.choose);
    rows.push({
      bench: 'step',
      work,
      shape: `${net} width ${baseWidth} ${size}x${size} batch ${batch}`,
      variant: i === 0 && checkpointActivations ? `${precision}, checkpoints` : precision,
      value: rate(best),
      unit: 'images/s',
      median: rate(median),
      worst: rate(worst),
      net,
      base_width: baseWidth,
      size,
      batch,
      precision,
      tuned: device.traits.choose !== undefined,
      images_per_second: rate(best),
      gpu: gpu ? rate(gpu) : null,
      dispatches: plan.dispatchCount,
      peak_bytes: plan.memory.transient + plan.memory.inputs + variables.bytes,
      live_bytes: plan.memory.peak,
      compile_ms: compile?.cold ?? null,
      compile_warm_ms: compile?.warm ?? null,
      ...(await (i === 0 ? hostTimes(device, training, train) : hostTimes(device, evaluation, infer))),
      adapter: device.description,
    });
  }
  return rows;
}

/** Plays the part of WebGPU and does nothing. */
function silentDevice(): Device {
  const nothing = () => {};
  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing };
  const encoder = { beginComputePass: () => pass, copyBufferToTexture: nothing, finish: () => encoder };
  const gpu = { createCommandEncoder: () => encoder, queue: { submit: nothing, writeBuffer: nothing } };
  return { gpu, check: nothing } as unknown as Device;
}

/**
 * Median milliseconds of the host's thread for one step, the photos' upload included. `host_ms`: until the adapter has its work,
 * which waits so long when it is idle. `host_total_ms`: all of it, submitting the rest and encoding the next step's commands while
 * the adapter works; on a software adapter the two compete for the processor. `script_ms`: the part of that which is JavaScript, by
 * steps whose calls of WebGPU are empty functions, each right behind a real one, which leaves the processor's caches to other things.
 *
 * A command buffer can be submitted once, so each step encodes anew: three calls a dispatch, 2.2 us in Dawn on its null backend
 * when nothing else runs, a texture's copy 2.7 us, a pass 1.7 us. Encoding a training step takes 1.2 ms on an idle machine (UNet: 232
 * dispatches, 137 copies, 83 passes; 2.3 ms for 408, 259 and 161 of a ResNet34-UNet; two cores of a Zen 4), of which 0.1 is JavaScript.
 * Until an idle adapter has its work it is 0.13 ms, half of it the photos' copy (256 KiB) and a third the submit, most of which Dawn
 * takes whatever is in it. A run's first steps take 0.05 ms more, until V8 has compiled what they call.
 */
async function hostTimes<S extends TrainingStep | EvaluationStep>(
  device: Device,
  step: S,
  run: (on: S) => void,
): Promise<{ host_ms: number; host_total_ms: number; script_ms: number }> {
  const { plan } = step;
  const silentPlan = Object.create(plan, { device: { value: silentDevice() } }) as Plan;
  const silent = Object.create(step, { plan: { value: silentPlan } }) as S;
  // V8 has compiled what it runs so often, and met both kinds of objects.
  for (let i = 0; i < 200; i++) run(silent);
  const times = { untilSubmitted: [] as number[], whole: [] as number[], script: [] as number[] };
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    run(step);
    times.whole.push(performance.now() - start);
    times.untilSubmitted.push(plan.submittedAt - start);
    await device.wait(device.gpu.queue.onSubmittedWorkDone());
    const startOfScript = performance.now();
    run(silent);
    times.script.push(performance.now() - startOfScript);
  }
  return {
    host_ms: round3(median(times.untilSubmitted)),
    host_total_ms: round3(median(times.whole)),
    script_ms: round3(median(times.script)),
  };
}

/** Where drivers keep compiled shaders: Mesa's and NVIDIA's variable. */
const CACHE_VARIABLES = ['MESA_SHADER_CACHE_DIR', '__GL_SHADER_DISK_CACHE_PATH'] as const;

/**
 * Milliseconds from a recorded step to the end of its first run on a fresh device: with the driver's cache empty, and
 * again. The run belongs to it because drivers may leave code generation to a pipeline's first use, as llvmpipe does.
 */
async function compileTimes(
  work: 'train' | 'infer',
  options: StepOptions,
  choose: FormChooser | undefined,
): Promise<{ cold: number; warm: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'trimap-bench-'));
  const before = CACHE_VARIABLES.map((name) => process.env[name]);
  CACHE_VARIABLES.forEach((name) => (process.env[name] = folder));
  const once = async (): Promise<number> => {
    const opened = await openDevice({ adapter: options.adapter, precision: options.precision, ownDriver: true });
    const device = opened.withHabits({ choose });
    const settings = settingsOf(options);
    const variables = new Variables(device);
    const start = performance.now();
    const step = await (work === 'train' ? TrainingStep : EvaluationStep).compile(device, variables, settings);
    step.plan.run();
    await device.wait(device.gpu.queue.onSubmittedWorkDone());
    const ms = performance.now() - start;
    step.destroy();
    variables.destroy();
    device.close();
    return Math.round(ms);
  };
  try {
    const cold = await once();
    return { cold, warm: await once() };
  } finally {
    CACHE_VARIABLES.forEach((name, i) => {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    });
    rmSync(folder, { recursive: true, force: true });
  }
}
