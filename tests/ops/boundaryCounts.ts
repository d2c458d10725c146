import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { type BoundaryCounts, boundaryF, readBoundaryCounts } from '../../engine/metrics.js';
import { boundaryCounts } from '../../engine/ops/boundaryCounts.js';
import { testDevice } from '../helpers/device.js';
import { binary, smallBindings } from '../helpers/pass.js';
import { evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('boundaryCounts');

type Mask = (y: number, x: number) => boolean;

/** One image by the definition: pairs of boundary pixels, all distances. */
function count(h: number, w: number, predicted: Mask, truth: Mask, distance: number): BoundaryCounts {
  const boundary = (mask: Mask) => {
    const pixels: [number, number][] = [];
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const sides = [
          [y - 1, x],
          [y + 1, x],
          [y, x - 1],
          [y, x + 1],
        ].filter(([a, b]) => a >= 0 && a < h && b >= 0 && b < w);
        if (mask(y, x) && sides.some(([a, b]) => !mask(a, b))) pixels.push([y, x]);
      }
    }
    return pixels;
  };
  const [p, t] = [boundary(predicted), boundary(truth)];
  const near = (of: [number, number][], to: [number, number][]) =>
    of.filter(([y, x]) => to.some(([b, a]) => Math.hypot(y - b, x - a) <= distance)).length;
  return { predicted: p.length, predictedMatched: near(p, t), true: t.length, trueMatched: near(t, p) };
}

const run = async (
  on: typeof device,
  shape: readonly number[],
  z: Float32Array,
  t: Float32Array,
  distance?: number,
) => {
  const given = { z: { shape, values: z }, t: { shape, values: t } };
  const [values] = await evaluate(on, given, (x) => [boundaryCounts(x.z, x.t, { threshold: 0.25, distance })] as const);
  return readBoundaryCounts(values);
};

test('noise of odd sizes, whole and split batches, several distances', async () => {
  for (const on of [device, smallBindings(device, 32768)]) {
    for (const [shape, distance] of [
      [[1, 1, 1, 1], 2],
      [[3, 1, 7, 11], 1],
      [[5, 1, 37, 41], 2],
      [[2, 1, 1, 19], 0],
    ] as const) {
      const [n, , h, w] = shape;
      const z = normal(shape, 'z').map((value, i) => (i % 7 === 0 ? 0.25 : value - 1));
      const t = binary(shape);
      const expected = Array.from({ length: n }, (_, i) => {
        const at = (y: number, x: number) => i * h * w + y * w + x;
        return count(
          h,
          w,
          (y, x) => z[at(y, x)] > 0.25,
          (y, x) => t[at(y, x)] > 0.5,
          distance,
        );
      });
      assert.equal(await run(on, shape, z, t, distance), expected, `[${shape}] within ${distance}`);
    }
  }
});

test('a disc moved by two pixels matches, by six it does not; pixel accuracy hardly sees it', async () => {
  const size = 48;
  const disc = (centre: number) =>
    Float32Array.from({ length: size * size }, (_, i) =>
      Number(Math.hypot((i % size) - centre, Math.floor(i / size) - 24) < 12),
    );
  const shape = [1, 1, size, size];
  const [same] = await run(device, shape, disc(24), disc(24));
  const [near] = await run(device, shape, disc(26), disc(24));
  const [far] = await run(device, shape, disc(30), disc(24));
  assert.is(boundaryF(same), 1);
  assert.ok(boundaryF(near) > 0.95, `${boundaryF(near)}`);
  assert.ok(boundaryF(far) < 0.5, `${boundaryF(far)}`);
});

test('the edge of the image is no boundary', async () => {
  const shape = [1, 1, 5, 6];
  const all = new Float32Array(30).fill(1);
  assert.equal(await run(device, shape, all, all), [{ predicted: 0, predictedMatched: 0, true: 0, trueMatched: 0 }]);
});

test('errors', () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 1, 4, 4]);
  assert.throws(() => boundaryCounts(x, graph.input('t', [1, 1, 4, 5]), { threshold: 0 }), /different shapes/);
  assert.throws(() => boundaryCounts(x, x, { threshold: 0, distance: 1.5 }), /the distance is 1.5; a whole number/);
});

test.run();
