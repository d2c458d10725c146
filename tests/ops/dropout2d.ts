import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import type { Shape } from '../../engine/layout.js';
import { dropout2d, dropoutMask } from '../../engine/ops/dropout2d.js';
import { hashKeys } from '../../engine/random.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('dropout2d');
const small: Device = Object.assign(Object.create(device), { traits: { ...device.traits, maxBindingBytes: 8192 } });

for (const golden of goldenCases('dropout2d')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

/** The mask that a seed means, by the host's hash. */
const maskFor = (seed: readonly number[], [n, c]: readonly [number, number], p: number, stream: number): Float32Array =>
  Float32Array.from({ length: n * c }, (_, i) =>
    Number(hashKeys(...seed, stream, Math.floor(i / c), i % c) >= Math.round(p * 2 ** 32)),
  );

async function check(on: Device, shape: Shape, p: number): Promise<void> {
  const [n, c, h, w] = shape;
  const seed = [7, 0xfedcba98];
  const mask = maskFor(seed, [n, c], p, 3);
  const x = { shape, values: normal(shape, 'x') };
  const dy = { shape, values: normal(shape, 'dy') };
  const given = { x, dy, seed: { shape: [2], layout: 'words' as const, values: seed } };
  const [drawn, y, dx] = await evaluate(on, given, ({ x, dy, seed }) => {
    const mask = dropoutMask(seed, [n, c], p, 3);
    const dropped = dropout2d(x, mask, p);
    return [mask, dropped, ...gradients([dropped], [dy], [x])];
  });
  assert.equal(drawn, mask);
  const compare = (name: string, got: Float32Array, from: Float32Array) =>
    got.forEach((value, i) => {
      const wanted = (from[i] * mask[Math.floor(i / (h * w))]) / (1 - p);
      assert.ok(Math.abs(value - wanted) <= 1e-6 * Math.abs(wanted), `${name}[${i}] is ${value} instead of ${wanted}`);
    });
  compare('y', y, x.values);
  compare('dx', dx, dy.values);
}

for (const shape of [
  [1, 1, 1, 1],
  [2, 5, 3, 7],
  [3, 33, 2, 2],
  [1, 128, 5, 5],
]) {
  test(`[${shape}]`, () => check(device, shape, 0.5));
}

test('p 0 keeps everything', () => check(device, [2, 7, 3, 3], 0));

test('a batch split over bindings gives the same', () => check(small, [60, 37, 2, 2], 0.3));

test('another step, layer or seed draws another mask, and about p of each is 0', async () => {
  const size: [number, number] = [16, 256];
  const seeds = { a: [1, 0], b: [1, 1], c: [2, 0] };
  const given = Object.fromEntries(
    Object.entries(seeds).map(([name, values]) => [name, { shape: [2], layout: 'words' as const, values }]),
  );
  const masks = await evaluate(device, given, ({ a, b, c }) => [
    dropoutMask(a, size, 0.2, 0),
    dropoutMask(a, size, 0.2, 1),
    dropoutMask(b, size, 0.2, 0),
    dropoutMask(c, size, 0.2, 0),
  ]);
  masks.forEach((mask, i) => {
    // 4096 draws: six standard deviations are 154.
    const dropped = mask.filter((value) => value === 0).length;
    assert.ok(Math.abs(dropped - 819) < 154, `${dropped} of 4096 dropped`);
    masks.slice(0, i).forEach((other, j) => assert.not.equal(mask, other, `masks ${j} and ${i}`));
  });
});

test('gradient by finite differences', async () => {
  const x = { shape: [2, 5, 2, 3], values: normal([2, 5, 2, 3], 'x') };
  const mask = { shape: [2, 5, 1, 1], values: [1, 0, 1, 1, 0, 0, 1, 1, 0, 1] };
  await checkGradients(device, { x, mask }, ({ x, mask }) => dropout2d(x, mask, 0.4), ['x']);
});

test('bad input gets a readable error', () => {
  const graph = new Graph();
  const x = graph.input('x', [2, 3, 4, 4]);
  const seed = graph.input('seed', [2], 'words');
  assert.throws(
    () => dropout2d(x, graph.input('m', [2, 4, 1, 1]), 0.5),
    /x \[2, 3, 4, 4\] and mask m \[2, 4, 1, 1\] do not fit/,
  );
  assert.throws(() => dropout2d(x, graph.input('m', [2, 3, 1, 1]), 1), /dropout2d: p is 1/);
  assert.throws(() => dropoutMask(seed, [2, 3], -0.1, 0), /dropoutMask: p is -0.1/);
  assert.throws(() => dropoutMask(seed, [2, 3], 0.5, -1), /stream is -1/);
  assert.throws(() => dropoutMask(x, [2, 3], 0.5, 0), /has to be words/);
});

test.run();
