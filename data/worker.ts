/** The program of a worker thread of `workers.ts`: answers each job with its result. */
import { parentPort } from 'node:worker_threads';
import { prepareSample, type PrepareJob } from './prepare.js';

parentPort!.on('message', (job: PrepareJob) => {
  const result = prepareSample(job);
  parentPort!.postMessage(result, result.bad ? [] : [result.pixels.buffer]);
});
