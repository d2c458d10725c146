/**
 * Whether an adapter computes with f16 as training needs it. Its feature flag alone says little: drivers are known to read f16
 * from memory as zeros, and WGSL leaves open whether a number too large for f16 becomes infinite or the largest one. The
 * loss scale lives by the former.
 */
import { type Device, DeviceError } from './device.js';
import { Graph } from './graph.js';
import { add } from './ops/add.js';
import { cast } from './ops/cast.js';
import { Plan } from './plan.js';

/** Exact in f16, its smallest and largest numbers among them; and the first two that are too large. */
const GIVEN = [1, -0.333251953125, 2 ** -24, 2 ** -14, 1024, 32752, 1e6, -65520];
const DOUBLED = [2, -0.66650390625, 2 ** -23, 2 ** -13, 2048, 65504, Infinity, -Infinity];

/** @throws DeviceError when the adapter has no f16, or the numbers that it computes are not those of IEEE 754 */
export async function requireHalves(device: Device): Promise<void> {
  const { name } = device.platform;
  if (!device.gpu.features.has('shader-f16')) {
    throw new DeviceError(`${name} has no f16 (shader-f16); leave --precision f16 out, or choose another --adapter`);
  }
  const graph = new Graph();
  const x = graph.input('x', [1, GIVEN.length, 1, 1]);
  const half = cast(x, 'f16');
  const sum = cast(add(half, half), 'f32');
  const plan = await Plan.compile(device, graph, { outputs: [sum] });
  plan.write(x, GIVEN);
  plan.run();
  const [got] = await plan.read(sum);
  plan.destroy();
  const wrong = DOUBLED.findIndex((wanted, i) => !Object.is(got[i], wanted));
  if (wrong < 0) return;
  throw new DeviceError(
    `${name} has f16, but twice ${GIVEN[wrong]} is ${got[wrong]} there instead of ${DOUBLED[wrong]}; leave --precision f16 out`,
  );
}
