import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { channelSlice } from '../../engine/ops/channelSlice.js';
import { testDevice } from '../helpers/device.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('channelSlice');

async function check(on: Device, [n, c, h, w]: readonly number[], start: number, count: number): Promise<void> {
  const x = { shape: [n, c, h, w], values: normal([n, c, h, w], 'x') };
  const dy = { shape: [n, count, h, w], values: normal([n, count, h, w], 'dy') };
  const [y, dx] = await evaluate(on, { x, dy }, ({ x, dy }) => {
    const part = channelSlice(x, start, count);
    return [part, ...gradients([part], [dy], [x])];
  });
  const size = h * w;
  for (let image = 0; image < n; image++) {
    for (let channel = 0; channel < c; channel++) {
      const inside = channel >= start && channel < start + count;
      for (let p = 0; p < size; p++) {
        const own = (image * c + channel) * size + p;
        const other = (image * count + channel - start) * size + p;
        assert.is(dx[own], inside ? dy.values[other] : 0, `dx of channel ${channel}`);
        if (inside) assert.is(y[other], x.values[own], `channel ${channel}`);
      }
    }
  }
}

for (const [c, start, count] of [
  [1, 0, 1],
  [5, 4, 1],
  [8, 4, 4],
  [8, 3, 2],
  [13, 1, 12],
  [13, 6, 5],
  [70, 33, 35],
]) {
  test(`${count} of ${c} from ${start} on`, () => check(device, [2, c, 3, 5], start, count));
}

test('a batch split over bindings gives the same', () => {
  const small: Device = Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: 4096 } });
  return check(small, [5, 9, 4, 8], 3, 5);
});

test('gradient by finite differences', async () => {
  const x = { shape: [2, 7, 3, 2], values: normal([2, 7, 3, 2], 'x') };
  await checkGradients(device, { x }, ({ x }) => channelSlice(x, 2, 3), ['x']);
});

test('bad input gets a readable error', () => {
  const x = new Graph().input('x', [1, 6, 4, 4]);
  assert.throws(() => channelSlice(x, 4, 3), /x \[1, 6, 4, 4\] has 6 channels; 3 from channel 4 on are not all there/);
  assert.throws(() => channelSlice(x, -1, 3), /not all there/);
  assert.throws(() => channelSlice(x, 0, 0), /not all there/);
  assert.throws(() => channelSlice(x, 0.5, 1), /not all there/);
});

test.run();
