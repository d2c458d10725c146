import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { elementCount, type Shape } from '../../engine/layout.js';
import { resizeBilinear } from '../../engine/ops/resizeBilinear.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('resizeBilinear');

for (const golden of goldenCases('upsample_bilinear')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

type Weights = [index: number, weight: number][];

/** What output o reads, as PyTorch's `area_pixel_compute_source_index` has it, in float64. */
function weights(input: number, output: number, o: number, alignCorners: boolean): Weights {
  const ratio = alignCorners ? (output > 1 ? (input - 1) / (output - 1) : 0) : input / output;
  const place = alignCorners ? o * ratio : Math.max((o + 0.5) * ratio - 0.5, 0);
  // The sum may fall a rounding short of a whole number.
  const low = Math.floor(place + 1e-9);
  const rest = Math.max(place - low, 0);
  return [
    [low, 1 - rest],
    [Math.min(low + 1, input - 1), rest],
  ];
}

function reference(shape: Shape, size: Shape, x: Float32Array, dy: Float32Array, alignCorners: boolean) {
  const [n, c, h, w] = shape;
  const [height, width] = size;
  const y: number[] = [];
  const dx = new Float64Array(elementCount(shape));
  for (let plane = 0; plane < n * c; plane++) {
    for (let oy = 0; oy < height; oy++) {
      for (let ox = 0; ox < width; ox++) {
        let sum = 0;
        for (const [iy, rowWeight] of weights(h, height, oy, alignCorners)) {
          for (const [ix, weight] of weights(w, width, ox, alignCorners)) {
            const at = (plane * h + iy) * w + ix;
            sum += x[at] * rowWeight * weight;
            dx[at] += dy[y.length] * rowWeight * weight;
          }
        }
        y.push(sum);
      }
    }
  }
  return { y, dx };
}

async function check(on: Device, shape: Shape, size: readonly [number, number], alignCorners: boolean): Promise<void> {
  const x = { shape, values: normal(shape, 'x') };
  const dyShape = [shape[0], shape[1], ...size];
  const dy = { shape: dyShape, values: normal(dyShape, 'dy') };
  const [y, dx] = await evaluate(on, { x, dy }, ({ x, dy }) => {
    const scaled = resizeBilinear(x, size, { alignCorners });
    return [scaled, ...gradients([scaled], [dy], [x])];
  });
  const wanted = reference(shape, size, x.values, dy.values, alignCorners);
  const compare = (name: string, got: Float32Array, reference: ArrayLike<number>) => {
    assert.is(got.length, reference.length);
    const largest = Array.from(reference, Math.abs).reduce((most, value) => Math.max(most, value), 0);
    got.forEach((value, i) => {
      const error = Math.abs(value - reference[i]);
      assert.ok(error <= 2e-6 * largest, `${name}[${i}] is ${value} instead of ${reference[i]}`);
    });
  };
  compare('y', y, wanted.y);
  compare('dx', dx, wanted.dx);
}

for (const alignCorners of [false, true]) {
  const name = alignCorners ? 'corners' : 'edges';
  for (const [shape, size] of [
    [
      [1, 1, 1, 1],
      [3, 2],
    ],
    [
      [1, 1, 1, 1],
      [1, 1],
    ],
    [
      [2, 3, 4, 5],
      [8, 10],
    ],
    [
      [1, 5, 9, 7],
      [9, 7],
    ],
    [
      [1, 2, 13, 11],
      [1, 1],
    ],
    [
      [1, 9, 2, 3],
      [31, 17],
    ],
    [
      [1, 1, 97, 101],
      [5, 3],
    ],
    [
      [2, 4, 3, 17],
      [4, 16],
    ],
    [
      [1, 68, 2, 2],
      [5, 4],
    ],
    [
      [1, 3, 127, 64],
      [128, 65],
    ],
  ] as const) {
    test(`[${shape}] to [${size}], ${name} stay`, () => check(device, shape, size, alignCorners));
  }

  test(`the kernels of graphics cards, and rows that several threads go down, ${name} stay`, async () => {
    const gpu: Device = Object.assign(Object.create(device), { traits: { ...device.traits, cpu: false } });
    await check(gpu, [2, 3, 4, 5], [8, 10], alignCorners);
    await check(gpu, [1, 5, 3, 2], [7, 9], alignCorners);
    await check(device, [2, 20, 31, 29], [62, 58], alignCorners);
    await check(device, [1, 36, 23, 33], [24, 99], alignCorners);
  });

  test(`a batch split over bindings gives the same, ${name} stay`, () => {
    const small: Device = Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: 8192 } });
    return check(small, [5, 5, 8, 8], [16, 12], alignCorners);
  });

  test(`gradient by finite differences, ${name} stay`, async () => {
    const x = { shape: [2, 3, 4, 5], values: normal([2, 3, 4, 5], 'x') };
    await checkGradients(device, { x }, ({ x }) => resizeBilinear(x, [7, 3], { alignCorners }), ['x']);
  });
}

test('bad input gets a readable error', () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 3, 4, 4]);
  const options = { alignCorners: false };
  assert.throws(() => resizeBilinear(x, [0, 4], options), /size \[0, 4\] has to be two positive whole numbers/);
  assert.throws(() => resizeBilinear(x, [4, 2 ** 28], options), /x \[1, 3, 4, 4\] to \[4, 268435456\] is too large/);
  assert.throws(() => resizeBilinear(graph.input('v', [4], 'vector'), [4, 4], options), /takes an image/);
});

test.run();
