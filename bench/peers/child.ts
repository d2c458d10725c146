/**
 * The other end of `bench peers`: each engine works in a process of its own, so that none can slow another by what it
 * leaves running. A request is a line of JSON on stdin, and so is the answer on stdout; tensors go through safetensors
 * files, images NCHW and filters OIHW (transposed IOHW). `pytorch.py` speaks the same.
 */
import { createInterface } from 'node:readline';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../../data/safetensors.js';
import type { PeerWork } from './works.js';

/** A way of running the same calls: another wait, another precision. */
export interface Mode {
  /** Added to the engine's name; empty for its ordinary way. */
  name: string;
  /** Largest difference to trimap's f32, as a part of the largest value, that is its precision and no fault. */
  tolerance: number;
  /** Computes what the mode before it does, in another time: both are one job. */
  sameJob?: boolean;
}

export interface Hello {
  name: string;
  adapter: string;
  modes: Mode[];
}

export type Request =
  | { do: 'prepare'; mode: number; work: PeerWork; inputs: string; result: string }
  | { do: 'time'; mode: number; count: number }
  | { do: 'forget' };

/** A work that has been set up: everything that is not timed is done. */
export interface Job {
  /** What the engine could not do as it should, and what it does instead. */
  note?: string;
  /** Of convolutions the output or gradient, of training the losses of the first steps, of inference the logits. */
  result(): Promise<Float32Array>;
  /** Runs it so many times, and waits until the last one is done. */
  run(count: number, mode: number): Promise<void>;
  destroy(): void;
}

export interface Engine extends Hello {
  prepare(work: PeerWork, inputs: string, mode: number): Promise<Job>;
}

export type Tensors = ReadonlyMap<string, StoredTensor>;

/** The tensors that trimap wrote for a work. */
export const readInputs = (path: string): Tensors => readSafetensors(path).tensors;

/** Answers requests until stdin ends. */
export async function serve(open: () => Promise<Engine>): Promise<void> {
  const answer = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
  // Libraries print; stdout is for answers.
  console.log = console.info = console.warn = console.error;
  const jobs = new Map<number, Job>();
  try {
    const engine = await open();
    const { name, adapter, modes } = engine;
    answer({ name, adapter, modes } satisfies Hello);
    const jobOf = (mode: number): number => (modes[mode].sameJob ? jobOf(mode - 1) : mode);
    for await (const line of createInterface({ input: process.stdin })) {
      const request = JSON.parse(line) as Request;
      try {
        if (request.do === 'prepare') {
          const job = await engine.prepare(request.work, request.inputs, request.mode);
          jobs.set(request.mode, job);
          const data = await job.result();
          writeSafetensors(request.result, new Map([['result', { dtype: 'F32', shape: [data.length], data }]]));
          answer({ note: job.note });
        } else if (request.do === 'time') {
          const start = performance.now();
          await jobs.get(jobOf(request.mode))!.run(request.count, request.mode);
          answer({ ms: (performance.now() - start) / request.count });
        } else {
          jobs.forEach((job) => job.destroy());
          jobs.clear();
          answer({});
        }
      } catch (error) {
        answer({ error: (error as Error).message });
      }
    }
  } catch (error) {
    answer({ error: (error as Error).message });
  }
  process.exit(0);
}
