import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { elementCount, type Shape } from '../../engine/layout.js';
import { batchNorm2d } from '../../engine/ops/batchNorm2d.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('batchNorm2d');

for (const golden of goldenCases('batch_norm2d')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

const OPTIONS = { training: true, momentum: 0.1, eps: 1e-5 };

interface Pass {
  y: Float32Array;
  dx: Float32Array;
  dweight: Float32Array;
  dbias: Float32Array;
  mean: Float32Array;
  variance: Float32Array;
}

interface Values {
  x: Float32Array;
  weight: Float32Array;
  bias: Float32Array;
  dy: Float32Array;
}

const valuesFor = (shape: Shape, offset = 0): Values => ({
  x: normal(shape, 'x').map((x) => x + offset),
  weight: normal([shape[1]], 'weight'),
  bias: normal([shape[1]], 'bias'),
  dy: normal(shape, 'dy'),
});

/** One step forward and backward from running mean 0.5 and running variance 2. */
async function run(on: Device, shape: Shape, given: Values, options = OPTIONS): Promise<Pass> {
  const graph = new Graph();
  const variables = new Variables(on);
  const channels = [shape[1]];
  const running = {
    mean: variables.declare('mean', channels, 'vector', false, () => new Float32Array(channels[0]).fill(0.5)),
    variance: variables.declare('variance', channels, 'vector', false, () => new Float32Array(channels[0]).fill(2)),
  };
  const x = graph.input('x', shape);
  const weight = graph.input('weight', channels, 'vector');
  const bias = graph.input('bias', channels, 'vector');
  const seed = graph.input('dy', shape);
  const y = batchNorm2d(x, weight, bias, running, options);
  const [dx, dweight, dbias] = gradients([y], [seed], [x, weight, bias]);
  const plan = await Plan.compile(on, graph, { outputs: [y, dx, dweight, dbias], poison: true });
  plan.write(x, given.x);
  plan.write(weight, given.weight);
  plan.write(bias, given.bias);
  plan.write(seed, given.dy);
  plan.run();
  const [a, b, c, d] = await plan.read(y, dx, dweight, dbias);
  const after = await variables.read('buffers');
  plan.destroy();
  variables.destroy();
  return { y: a, dx: b, dweight: c, dbias: d, mean: after.get('mean')!, variance: after.get('variance')! };
}

/** The same in float64. */
function reference(shape: Shape, { x, weight, bias, dy }: Values, { training, momentum, eps }: typeof OPTIONS): Pass {
  const [n, channels, h, w] = shape;
  const pass: Pass = {
    y: new Float32Array(x.length),
    dx: new Float32Array(x.length),
    dweight: new Float32Array(channels),
    dbias: new Float32Array(channels),
    mean: new Float32Array(channels),
    variance: new Float32Array(channels),
  };
  const count = n * h * w;
  for (let c = 0; c < channels; c++) {
    const places = Array.from(
      { length: count },
      (_, i) => (Math.floor(i / (h * w)) * channels + c) * h * w + (i % (h * w)),
    );
    const sum = (value: (i: number) => number) => places.reduce((total, i) => total + value(i), 0);
    const mean = training ? sum((i) => x[i]) / count : 0.5;
    const squares = sum((i) => (x[i] - mean) ** 2);
    const inverse = 1 / Math.sqrt((training ? squares / count : 2) + eps);
    const xhat = (i: number) => (x[i] - mean) * inverse;
    const dbias = sum((i) => dy[i]);
    const dweight = sum((i) => dy[i] * xhat(i));
    for (const i of places) {
      pass.y[i] = xhat(i) * weight[c] + bias[c];
      pass.dx[i] = weight[c] * inverse * (dy[i] - (training ? (dbias + xhat(i) * dweight) / count : 0));
    }
    pass.dweight[c] = dweight;
    pass.dbias[c] = dbias;
    pass.mean[c] = training ? 0.5 + momentum * (mean - 0.5) : 0.5;
    pass.variance[c] = training ? 2 + momentum * (squares / (count - 1) - 2) : 2;
  }
  return pass;
}

function assertClose(got: Pass, wanted: Pass, tolerance: Partial<Record<keyof Pass, number>> = {}): void {
  for (const key of Object.keys(wanted) as (keyof Pass)[]) {
    const largest = wanted[key].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const limit = (tolerance[key] ?? 2e-5) * Math.max(largest, 0.1);
    wanted[key].forEach((value, i) => {
      const error = Math.abs(got[key][i] - value);
      assert.ok(error <= limit, `${key}[${i}] is ${got[key][i]} instead of ${value}`);
    });
  }
}

for (const shape of [
  [2, 1, 1, 1],
  [1, 3, 1, 7],
  [3, 5, 13, 11],
  [2, 8, 32, 32],
  [1, 17, 31, 33],
  [2, 24, 9, 8],
  [1, 66, 16, 16],
  [1, 128, 3, 5],
]) {
  test(`[${shape}] against float64`, async () => {
    const given = valuesFor(shape);
    assertClose(await run(device, shape, given), reference(shape, given, OPTIONS));
  });
}

test('a mean far from 0 loses no variance', async () => {
  const shape = [2, 6, 64, 64];
  const given = valuesFor(shape, 1000);
  // float32 knows 1000 to 6e-5; mean(x^2) - mean(x)^2 would be off by about 0.1.
  const tolerance = { y: 5e-5, dx: 5e-4, dweight: 5e-4 };
  assertClose(await run(device, shape, given), reference(shape, given, OPTIONS), tolerance);
});

test('a constant channel gives the bias', async () => {
  const shape = [2, 3, 5, 5];
  const given = { ...valuesFor(shape), x: new Float32Array(elementCount(shape)).fill(7.25) };
  const { y, variance } = await run(device, shape, given);
  y.forEach((value, i) => assert.is(value, given.bias[Math.floor(i / 25) % 3]));
  variance.forEach((value) => assert.ok(Math.abs(value - 1.8) <= 1e-6));
});

test('eps 0 leaves the pads zero', async () => {
  const shape = [2, 5, 4, 4];
  const given = valuesFor(shape);
  const options = { ...OPTIONS, eps: 0 };
  assertClose(await run(device, shape, given, options), reference(shape, given, options));
});

test('evaluation takes the running statistics and leaves them alone', async () => {
  const shape = [2, 7, 9, 10];
  const given = valuesFor(shape);
  const options = { ...OPTIONS, training: false };
  assertClose(await run(device, shape, given, options), reference(shape, given, options));
});

test('a batch split over bindings gives the same', async () => {
  const shape = [5, 6, 8, 8];
  const given = valuesFor(shape);
  const small: Device = Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: 4096 } });
  assertClose(await run(small, shape, given), reference(shape, given, OPTIONS));
});

test('the tiling of a GPU gives the same', async () => {
  const shape = [4, 40, 32, 32];
  const given = valuesFor(shape);
  const gpu: Device = Object.assign(Object.create(device), { traits: { ...device.traits, cpu: false } });
  assertClose(await run(gpu, shape, given), reference(shape, given, OPTIONS));
});

test('two runs give the same bits', async () => {
  const shape = [3, 20, 40, 40];
  const given = valuesFor(shape);
  assert.equal(await run(device, shape, given), await run(device, shape, given));
});

for (const training of [true, false]) {
  test(`gradients by finite differences, ${training ? 'training' : 'evaluation'}`, async () => {
    const shape = [2, 5, 3, 4];
    const variables = new Variables(device);
    const declare = (name: string, value: number) =>
      variables.declare(name, [5], 'vector', false, () => new Float32Array(5).fill(value));
    const running = { mean: declare('mean', 0.2), variance: declare('variance', 1.5) };
    await checkGradients(
      device,
      {
        x: { shape, values: normal(shape, 'x') },
        weight: { shape: [5], layout: 'vector', values: normal([5], 'weight') },
        bias: { shape: [5], layout: 'vector', values: normal([5], 'bias') },
      },
      ({ x, weight, bias }) => batchNorm2d(x, weight, bias, running, { ...OPTIONS, training }),
      ['x', 'weight', 'bias'],
    );
    variables.destroy();
  });
}

test('bad input gets a readable error', () => {
  const graph = new Graph();
  const variables = new Variables(device);
  const declare = (name: string, channels: number) =>
    variables.declare(name, [channels], 'vector', false, () => new Float32Array(channels));
  const running = { mean: declare('m', 3), variance: declare('v', 3) };
  const x = graph.input('x', [1, 3, 1, 1]);
  const good = graph.input('good', [3], 'vector');
  const bad = graph.input('bad', [4], 'vector');
  assert.throws(
    () => batchNorm2d(x, bad, good, running, OPTIONS),
    /batchNorm2d: input has 3 channels but the weight bad is \[4\] \(vector\); it needs the vector \[3\]/,
  );
  assert.throws(
    () => batchNorm2d(x, good, good, { ...running, mean: declare('w', 2) }, OPTIONS),
    /running mean w is \[2\]/,
  );
  assert.throws(() => batchNorm2d(x, good, good, running, OPTIONS), /one value a channel/);
  assert.throws(() => batchNorm2d(x, good, good, running, { ...OPTIONS, eps: -1 }), /eps is -1/);
  assert.throws(() => batchNorm2d(x, good, good, running, { ...OPTIONS, momentum: 2 }), /momentum is 2/);
  assert.throws(() => batchNorm2d(good, good, good, running, OPTIONS), /takes an image/);
});

test.run();
