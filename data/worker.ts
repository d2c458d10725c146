/** The program of a worker thread of `workers.ts`: answers each job with its result. */
import { parentPort } from 'node:worker_threads';
import { inspectSample } from './check.js';
import { prepareSample } from './prepare.js';
import { measureSample } from './stats.js';

/** What a thread can be asked for, by name. */
const tasks = { prepare: prepareSample, measure: measureSample, inspect: inspectSample };

export type Tasks = typeof tasks;
export type TaskName = keyof Tasks;
export type Job<N extends TaskName> = Parameters<Tasks[N]>[0];
export type Result<N extends TaskName> = ReturnType<Tasks[N]>;

/** The message to a thread. */
export type Order = { [N in TaskName]: { task: N; job: Job<N> } }[TaskName];

const run = <N extends TaskName>(task: N, job: Job<N>) => (tasks[task] as (job: Job<N>) => Result<N>)(job);

parentPort!.on('message', ({ task, job }: Order) => {
  const result = run(task, job);
  parentPort!.postMessage(result, 'pixels' in result ? [result.pixels.buffer] : []);
});
