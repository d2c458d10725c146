import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { elementCount, type Shape } from '../../engine/layout.js';
import { maxPool2d, type MaxPool2dOptions } from '../../engine/ops/maxPool2d.js';
import { Random } from '../../engine/random.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('maxPool2d');

for (const golden of goldenCases('max_pool2d')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

const outputShape = ([n, c, h, w]: Shape, { kernel, stride, padding }: MaxPool2dOptions): number[] => [
  n,
  c,
  Math.floor((h + 2 * padding - kernel) / stride) + 1,
  Math.floor((w + 2 * padding - kernel) / stride) + 1,
];

/** y, and dx in float64. */
function reference(shape: Shape, x: ArrayLike<number>, dy: ArrayLike<number>, options: MaxPool2dOptions) {
  const { kernel, stride, padding } = options;
  const [n, c, h, w] = shape;
  const [, , height, width] = outputShape(shape, options);
  const y: number[] = [];
  const dx = new Float64Array(elementCount(shape));
  for (let plane = 0; plane < n * c; plane++) {
    for (let oy = 0; oy < height; oy++) {
      for (let ox = 0; ox < width; ox++) {
        let best = -1;
        for (let iy = oy * stride - padding; iy < oy * stride - padding + kernel; iy++) {
          for (let ix = ox * stride - padding; ix < ox * stride - padding + kernel; ix++) {
            if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;
            const at = (plane * h + iy) * w + ix;
            if (best < 0 || x[at] > x[best]) best = at;
          }
        }
        dx[best] += dy[y.length];
        y.push(x[best]);
      }
    }
  }
  return { y, dx };
}

async function check(on: Device, shape: Shape, options: MaxPool2dOptions, values = normal(shape, 'x')): Promise<void> {
  const dyShape = outputShape(shape, options);
  const dyValues = normal(dyShape, 'dy');
  const [y, dx] = await evaluate(
    on,
    { x: { shape, values }, dy: { shape: dyShape, values: dyValues } },
    ({ x, dy }) => {
      const pooled = maxPool2d(x, options);
      return [pooled, ...gradients([pooled], [dy], [x])];
    },
  );
  const wanted = reference(shape, values, dyValues, options);
  assert.equal([...y], wanted.y);
  dx.forEach((value, i) => {
    const error = Math.abs(value - wanted.dx[i]);
    assert.ok(error <= 1e-6 * Math.max(1, Math.abs(wanted.dx[i])), `dx[${i}] is ${value} instead of ${wanted.dx[i]}`);
  });
}

for (const [shape, kernel, stride, padding] of [
  [[1, 1, 1, 1], 1, 1, 0],
  [[1, 1, 1, 1], 3, 2, 1],
  [[2, 5, 2, 2], 2, 2, 0],
  [[2, 3, 17, 13], 2, 2, 0],
  [[1, 9, 7, 33], 3, 2, 1],
  [[1, 2, 12, 12], 3, 1, 1],
  [[1, 4, 11, 10], 2, 3, 0],
  [[1, 6, 20, 9], 5, 2, 2],
  [[1, 1, 40, 35], 16, 3, 8],
  [[1, 68, 4, 5], 2, 2, 1],
  // Threads that go down several rows.
  [[2, 20, 61, 67], 3, 2, 1],
  [[1, 37, 43, 40], 3, 1, 0],
] as const) {
  const name = `[${shape}], kernel ${kernel}, stride ${stride}, padding ${padding}`;
  test(name, () => check(device, shape, { kernel, stride, padding }));
}

test('of equal values the first takes the gradient', async () => {
  const shape = [2, 6, 9, 11];
  const random = new Random('test', 'ties');
  const values = Float32Array.from({ length: elementCount(shape) }, () => random.integer(3) - 1);
  await check(device, shape, { kernel: 2, stride: 2, padding: 0 }, values);
  await check(device, shape, { kernel: 3, stride: 2, padding: 1 }, values);
});

test('padding never wins over negative values', () => {
  const shape = [1, 3, 5, 5];
  const values = normal(shape, 'x').map((x) => -1e30 - 1e30 * Math.abs(x));
  return check(device, shape, { kernel: 3, stride: 2, padding: 1 }, values);
});

test('a batch split over bindings gives the same', () => {
  const small: Device = Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: 8192 } });
  return check(small, [7, 5, 8, 8], { kernel: 3, stride: 2, padding: 1 });
});

test('the kernels of graphics cards', async () => {
  const gpu: Device = Object.assign(Object.create(device), { traits: { ...device.traits, cpu: false } });
  await check(gpu, [2, 5, 9, 14], { kernel: 3, stride: 2, padding: 1 });
  await check(gpu, [1, 6, 11, 7], { kernel: 2, stride: 2, padding: 0 });
});

test('gradient by finite differences', async () => {
  const shape = [1, 3, 6, 7];
  // Values so far apart that a step changes no maximum.
  const order = new Random('test', 'order').shuffle([...Array(elementCount(shape)).keys()]);
  const values = Float32Array.from(order, (i) => i * 0.2);
  const options = { kernel: 3, stride: 2, padding: 1 };
  await checkGradients(device, { x: { shape, values } }, ({ x }) => maxPool2d(x, options), ['x']);
});

test('bad input gets a readable error', () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 3, 4, 4]);
  const pool = (kernel: number, stride: number, padding: number) => () => maxPool2d(x, { kernel, stride, padding });
  assert.throws(pool(5, 2, 0), /kernel 5 with padding 0 does not fit x \[1, 3, 4, 4\]/);
  assert.throws(pool(2, 2, 2), /padding 2 is more than half of kernel 2/);
  assert.throws(pool(17, 1, 8), /kernel 17 is larger than 16/);
  assert.throws(pool(2, 0, 0), /stride 0/);
  assert.throws(pool(2.5, 1, 0), /kernel 2.5/);
  assert.throws(
    () => maxPool2d(graph.input('v', [4], 'vector'), { kernel: 2, stride: 2, padding: 0 }),
    /takes an image/,
  );
});

test.run();
