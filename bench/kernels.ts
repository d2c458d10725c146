import { gradients } from '../engine/autograd.js';
import type { Device } from '../engine/device.js';
import { Graph } from '../engine/graph.js';
import { elementCount } from '../engine/layout.js';
import { conv2d } from '../engine/ops/conv2d.js';
import { Plan } from '../engine/plan.js';
import { Random } from '../engine/random.js';
import { race } from './timing.js';

interface Work {
  batch: number;
  channels: number;
  out: number;
  height: number;
  width: number;
  kernel: number;
  stride: number;
  padding: number;
}

const square = (batch: number, channels: number, out: number, size: number, kernel = 3, stride = 1): Work => ({
  batch,
  channels,
  out,
  height: size,
  width: size,
  kernel,
  stride,
  padding: kernel >> 1,
});

/** Layers of both nets; the first is the one that the figures of other engines are known for. */
const WORKS: readonly Work[] = [
  square(2, 64, 64, 64),
  square(8, 16, 16, 64),
  square(4, 128, 128, 16),
  square(4, 512, 512, 4),
  square(4, 3, 64, 64, 7, 2),
  square(4, 64, 128, 32, 3, 2),
  square(4, 64, 128, 32, 1, 2),
  square(4, 64, 1, 64, 1),
];

const PASSES = ['forward', 'input gradient', 'weight gradient'] as const;

async function plansOf(device: Device, work: Work): Promise<{ plans: Plan[]; results: Float32Array[] }> {
  const plans: Plan[] = [];
  const results: Float32Array[] = [];
  for (const pass of PASSES) {
    const graph = new Graph();
    const x = graph.input('x', [work.batch, work.channels, work.height, work.width]);
    const w = graph.input('w', [work.out, work.channels, work.kernel, work.kernel], 'filter');
    const y = conv2d(x, w, undefined, work);
    const dy = graph.input('dy', y.shape);
    const result = pass === 'forward' ? y : gradients([y], [dy], [pass === 'input gradient' ? x : w])[0];
    const plan = await Plan.compile(device, graph, { outputs: [result] });
    for (const input of graph.inputs) {
      const random = new Random('bench', input.name);
      plan.write(
        input,
        Float32Array.from({ length: elementCount(input.shape) }, () => random.uniform(-1, 1)),
      );
    }
    plan.run();
    results.push((await plan.read(result))[0]);
    plans.push(plan);
  }
  return { plans, results };
}

/** Largest difference, relative to the largest value. */
function relativeError(got: Float32Array, reference: Float32Array): number {
  let error = 0;
  let largest = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i] - reference[i]);
    error = difference <= error ? error : difference;
    largest = Math.max(largest, Math.abs(reference[i]));
  }
  return error / largest;
}

/** Prints GFLOP/s of forward, input gradient and weight gradient for each shape, and how far each is from the plain kernels. */
export async function benchKernels(device: Device, plain: Device, rounds: number): Promise<void> {
  for (const work of WORKS) {
    const { plans, results } = await plansOf(device, work);
    const reference = await plansOf(plain, work);
    reference.plans.forEach((plan) => plan.destroy());
    const timings = await race(device, plans, rounds);
    plans.forEach((plan) => plan.destroy());
    const outHeight = Math.floor((work.height + 2 * work.padding - work.kernel) / work.stride) + 1;
    const outWidth = Math.floor((work.width + 2 * work.padding - work.kernel) / work.stride) + 1;
    const flop = 2 * work.batch * work.channels * work.out * work.kernel ** 2 * outHeight * outWidth;
    PASSES.forEach((pass, i) => {
      const line = {
        bench: 'kernels',
        work: `conv2d ${pass}`,
        shape: `N${work.batch} ${work.channels}->${work.out} ${work.height}x${work.width} k${work.kernel} s${work.stride}`,
        value: Number((flop / timings[i].best / 1e6).toPrecision(3)),
        median: Number((flop / timings[i].median / 1e6).toPrecision(3)),
        unit: 'GFLOP/s',
        error: Number(relativeError(results[i], reference.results[i]).toExponential(1)),
        adapter: device.description,
      };
      console.log(JSON.stringify(line));
    });
  }
}
