/**
 * Worker threads that read samples: JPEG decoding takes most of the time of a cache build, and does not wait for
 * anything.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { DataError } from './errors.js';
import type { Job, Result, TaskName } from './worker.js';

const cores = availableParallelism();

/**
 * One core is left for the rest of the program where there are more than two. On two, both decode: the main thread only
 * writes meanwhile (545 photos at 128x128: 28 s with one thread, 16 s with two).
 */
export const defaultWorkers = Math.max(Math.min(cores, 2), cores - 1);

/**
 * Runs a task's jobs on `count` threads and hands each result to `onResult`, in the order they get ready; a thread gets
 * its next job when `onResult` is done, so that results do not pile up. Throws DataError naming the photo when a thread
 * fails (out of memory, for example).
 */
export async function runJobs<N extends TaskName>(
  task: N,
  jobs: readonly Job<N>[],
  count: number,
  onResult: (job: number, result: Result<N>) => Promise<void> | void,
): Promise<void> {
  const threads = Array.from(
    { length: Math.min(count, jobs.length) },
    () => new Worker(new URL('./worker.js', import.meta.url)),
  );
  let next = 0;
  const work = async (thread: Worker) => {
    while (next < jobs.length) {
      const job = next++;
      await onResult(job, await ask(thread, task, jobs[job]));
    }
  };
  try {
    await Promise.all(threads.map(work));
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

function ask<N extends TaskName>(thread: Worker, task: N, job: Job<N>): Promise<Result<N>> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) =>
      settle(() => reject(new DataError(`reading ${job.image} and ${job.mask} failed: ${what}`)));
    const onMessage = (result: Result<N>) => settle(() => resolve(result));
    const onError = (error: Error) => fail(`the worker thread ended with "${error.message}"`);
    const onExit = (code: number) => fail(`the worker thread ended with code ${code}`);
    const settle = (then: () => void) => {
      thread.off('message', onMessage).off('error', onError).off('exit', onExit);
      then();
    };
    thread.on('message', onMessage).on('error', onError).on('exit', onExit);
    thread.postMessage({ task, job });
  });
}
