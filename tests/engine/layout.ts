import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  byteLength,
  checkShape,
  elementCount,
  fromHalves,
  type Layout,
  pack,
  type Shape,
  toHalves,
  unpack,
} from '../../engine/layout.js';

const test = suite('layout');

const count = (n: number) => Float32Array.from({ length: n }, (_, i) => i + 1);

test('every layout comes back as it went, and its pads are zero', () => {
  const cases: [Layout, Shape][] = [
    ['image', [2, 3, 5, 7]],
    ['image', [2, 8, 1, 1]],
    ['image', [2, 5, 1, 1]],
    ['vector', [5]],
    ['filter', [7, 3, 3, 2]],
    ['transposedFilter', [3, 7, 2, 2]],
    ['words', [2, 3]],
  ];
  for (const [layout, shape] of cases) {
    const values = count(elementCount(shape));
    const packed = pack(shape, layout, values);
    assert.is(packed.byteLength, byteLength(shape, layout), layout);
    assert.equal(unpack(shape, layout, packed), values, layout);
    assert.is(packed.filter((x) => x !== 0).length, values.length, `${layout} writes pads`);
  }
});

test('an image keeps four channels of a pixel side by side', () => {
  // N 1, C 5, H 1, W 2: pixel 0 is channels 0..4 and three zeros, then pixel 1
  const packed = pack([1, 5, 1, 2], 'image', [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]);
  assert.equal([...packed], [0, 10, 20, 30, 40, 0, 0, 0, 1, 11, 21, 31, 41, 0, 0, 0]);
});

test('a filter and its transposed form hold the same numbers by role', () => {
  // weight[o][c] of a 1x1 convolution, and weight[c][o] of a transposed one
  const filter = pack([2, 3, 1, 1], 'filter', [1, 2, 3, 4, 5, 6]);
  const transposed = pack([3, 2, 1, 1], 'transposedFilter', [1, 4, 2, 5, 3, 6]);
  assert.equal([...filter], [...transposed]);
  assert.equal([...filter], [1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test('every f16 comes back as it went, and others go to the nearest', () => {
  const all = Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits);
  const numbers = fromHalves(all);
  const back = toHalves(numbers);
  all.forEach((bits, i) => {
    if (Number.isNaN(numbers[i])) assert.is(back[i], 0x7e00);
    else if (back[i] !== bits) assert.unreachable(`${numbers[i]}: ${back[i]} instead of ${bits}`);
  });
  // Between two neighbours: the even one at the middle, else the nearer; below the smallest, and above the largest.
  for (const [value, nearest] of [
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [1 + 2 ** -11 + 2 ** -20, 1 + 2 ** -10],
    [2 - 2 ** -12, 2],
    [2 ** -25, 0],
    [2 ** -25 + 2 ** -40, 2 ** -24],
    [2 ** -14 - 2 ** -26, 2 ** -14],
    [65519, 65504],
    [65520, Infinity],
    [-1e9, -Infinity],
  ]) {
    assert.is(fromHalves(toHalves([value]))[0], nearest, String(value));
  }
});

test('shapes that make no sense are refused', () => {
  assert.throws(() => checkShape('x', [1, 2, 3], 'image'), /x: shape \[1, 2, 3\] has 3 sizes; image needs 4/);
  assert.throws(() => checkShape('x', [0], 'vector'), /positive whole sizes/);
  assert.throws(() => checkShape('x', [1.5], 'vector'), /positive whole sizes/);
});

test.run();
