import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { concat } from '../../engine/ops/concat.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('concat');

for (const golden of goldenCases('concat')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

/** Forward and gradient, exactly: y takes numbers from the inputs, and their gradients take them from dy. */
async function check(on: Device, channels: readonly number[], [n, h, w]: readonly number[]): Promise<void> {
  const total = channels.reduce((sum, count) => sum + count, 0);
  const given = Object.fromEntries(
    channels.map((count, i) => [`x${i}`, { shape: [n, count, h, w], values: normal([n, count, h, w], `x${i}`) }]),
  );
  const dy = { shape: [n, total, h, w], values: normal([n, total, h, w], 'dy') };
  const [y, ...made] = await evaluate(on, { ...given, dy }, (inputs) => {
    const parts = channels.map((_, i) => inputs[`x${i}`]);
    const joined = concat(parts);
    return [joined, ...gradients([joined], [inputs.dy], parts)];
  });
  const size = h * w;
  let first = 0;
  channels.forEach((count, i) => {
    for (let image = 0; image < n; image++) {
      const from = (image * total + first) * size;
      const to = from + count * size;
      const own = image * count * size;
      assert.equal(
        y.slice(from, to),
        given[`x${i}`].values.slice(own, own + count * size),
        `input ${i}, image ${image}`,
      );
      assert.equal(made[i].slice(own, own + count * size), dy.values.slice(from, to), `gradient ${i}, image ${image}`);
    }
    first += count;
  });
}

for (const channels of [[1], [4, 8], [8, 4, 12], [1, 1, 1, 1, 1], [3, 4], [5, 2, 6], [2, 1, 30], [7, 64], [6, 6]]) {
  test(`channels ${channels.join(' + ')}`, () => check(device, channels, [2, 3, 7]));
}

test('wide rows', () => check(device, [24, 17], [1, 2, 131]));

test('a batch split over bindings gives the same', () => {
  const small: Device = Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: 4096 } });
  return check(small, [5, 6], [5, 4, 8]);
});

test('an input taken twice gets both gradients', async () => {
  const x = { shape: [1, 3, 2, 2], values: normal([1, 3, 2, 2], 'x') };
  const dy = { shape: [1, 6, 2, 2], values: normal([1, 6, 2, 2], 'dy') };
  const [dx] = await evaluate(device, { x, dy }, ({ x, dy }) => gradients([concat([x, x])], [dy], [x]));
  dx.forEach((value, i) => assert.is(value, Math.fround(dy.values[i] + dy.values[i + 12])));
});

test('gradient by finite differences', async () => {
  const a = { shape: [2, 3, 2, 5], values: normal([2, 3, 2, 5], 'a') };
  const b = { shape: [2, 6, 2, 5], values: normal([2, 6, 2, 5], 'b') };
  await checkGradients(device, { a, b }, ({ a, b }) => concat([a, b]), ['a', 'b']);
});

test('bad input gets a readable error', () => {
  const graph = new Graph();
  const a = graph.input('a', [1, 3, 4, 5]);
  assert.throws(() => concat([]), /there are no inputs/);
  assert.throws(
    () => concat([a, graph.input('b', [1, 3, 5, 5])]),
    /concat: a \[1, 3, 4, 5\] and b \[1, 3, 5, 5\] have to be images that agree in all but their channels/,
  );
  assert.throws(() => concat([a, graph.input('v', [3], 'vector')]), /have to be images/);
});

test.run();
