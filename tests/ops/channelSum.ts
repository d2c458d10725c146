import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.js';
import type { Shape } from '../../engine/layout.js';
import { channelSum } from '../../engine/ops/channelSum.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, ODD_SHAPES, smallBindings } from '../helpers/pass.js';
import { evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('channelSum');

/** On poisoned memory, twice: two runs give the same bits. */
async function check(on: Device, shape: Shape): Promise<void> {
  const values = normal(shape, `x [${shape}]`);
  const run = async () => {
    const [y] = await evaluate(on, { x: { shape, values } }, ({ x }) => [channelSum(x)] as const);
    return y;
  };
  const [n, channels, height, width] = shape;
  const wanted = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) wanted[Math.floor(i / (height * width)) % channels] += values[i];
  const y = await run();
  assertClose(`sums of [${shape}], ${n} images`, y, wanted);
  assert.equal(await run(), y, `two runs for [${shape}]`);
}

test('odd shapes', async () => {
  for (const shape of ODD_SHAPES) await check(device, shape);
});

test('maps that take one pass and two, quads that fill a workgroup and more', async () => {
  for (const shape of [
    [1, 32, 9, 7],
    [2, 67, 5, 3],
    [3, 20, 31, 33],
    [1, 128, 30, 37],
    [2, 4, 131, 127],
    [1, 3, 251, 241],
  ]) {
    await check(device, shape);
  }
});

test('a batch split over bindings, and the passes of a graphics card', async () => {
  const gpu: Device = Object.assign(Object.create(device), { traits: { ...device.traits, cpu: false } });
  await check(smallBindings(device, 4096), [5, 5, 8, 8]);
  await check(gpu, [2, 20, 31, 33]);
});

test.run();
