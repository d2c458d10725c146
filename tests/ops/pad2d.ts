import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { pad2d, type Padding2d } from '../../engine/ops/pad2d.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('pad2d');

for (const golden of goldenCases('pad2d')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

async function check(on: Device, shape: readonly number[], pad: Padding2d): Promise<void> {
  const [n, c, h, w] = shape;
  const [left, right, top, bottom] = pad;
  const [height, width] = [h + top + bottom, w + left + right];
  const x = { shape, values: normal(shape, 'x') };
  const dy = { shape: [n, c, height, width], values: normal([n, c, height, width], 'dy') };
  const [y, dx] = await evaluate(on, { x, dy }, ({ x, dy }) => {
    const padded = pad2d(x, pad);
    return [padded, ...gradients([padded], [dy], [x])];
  });
  const wanted = new Float32Array(y.length);
  const wantedGradient = new Float32Array(dx.length);
  for (let plane = 0; plane < n * c; plane++) {
    for (let iy = 0; iy < h; iy++) {
      for (let ix = 0; ix < w; ix++) {
        const [oy, ox] = [iy + top, ix + left];
        if (oy < 0 || oy >= height || ox < 0 || ox >= width) continue;
        const [from, to] = [(plane * h + iy) * w + ix, (plane * height + oy) * width + ox];
        wanted[to] = x.values[from];
        wantedGradient[from] = dy.values[to];
      }
    }
  }
  assert.equal(y, wanted);
  assert.equal(dx, wantedGradient);
}

for (const [shape, pad] of [
  [
    [1, 1, 1, 1],
    [0, 0, 0, 0],
  ],
  [
    [1, 1, 1, 1],
    [3, 1, 0, 2],
  ],
  [
    [2, 5, 7, 11],
    [1, 0, 0, 1],
  ],
  [
    [2, 5, 7, 11],
    [-3, -4, -2, -1],
  ],
  [
    [1, 9, 6, 5],
    [-2, 4, 3, -5],
  ],
  [
    [1, 2, 3, 4],
    [-3, 0, -2, 0],
  ],
  [
    [1, 3, 3, 3],
    [-4, 3, 0, 0],
  ],
  [
    [1, 68, 2, 67],
    [1, 1, 1, 1],
  ],
] as const) {
  test(`[${shape}] by [${pad}]`, () => check(device, shape, pad));
}

test('a batch split over bindings gives the same', () => {
  const small: Device = Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: 8192 } });
  return check(small, [5, 5, 8, 8], [1, -2, 3, 1]);
});

test('gradient by finite differences', async () => {
  const x = { shape: [2, 3, 4, 5], values: normal([2, 3, 4, 5], 'x') };
  await checkGradients(device, { x }, ({ x }) => pad2d(x, [1, -2, -1, 2]), ['x']);
});

test('bad input gets a readable error', () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 3, 4, 4]);
  assert.throws(
    () => pad2d(x, [-2, -2, 0, 0]),
    /\[-2, -2, 0, 0\] \(left, right, top, bottom\) leaves nothing of x \[1, 3, 4, 4\]/,
  );
  assert.throws(() => pad2d(x, [0.5, 0, 0, 0]), /four whole numbers/);
  assert.throws(() => pad2d(graph.input('v', [4], 'vector'), [0, 0, 0, 0]), /takes an image/);
});

test.run();
