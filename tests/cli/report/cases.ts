import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseCases, hardestPhotos } from '../../../cli/report/cases.js';
import { byBreed, histogram, quantile } from '../../../cli/report/distribution.js';
import { somePhotos } from '../../helpers/report.js';

const test = suite('cli/report/cases');

const groups = (count: number, each: number) =>
  chooseCases(
    Array.from({ length: count }, (_, i) => ({ dice: i / count })),
    each,
  ).map(({ photos }) => photos.map(({ dice }) => Math.round(dice * count)));

test('worst, median and best: in order, and no photo twice', () => {
  assert.equal(groups(30, 2), [
    [0, 1],
    [14, 15],
    [29, 28],
  ]);
  assert.equal(groups(1, 8), [[0], [], []]);
  assert.equal(groups(2, 8), [[0], [], [1]]);
  assert.equal(groups(5, 8), [[0, 1], [2], [4, 3]]);
  for (const count of [3, 7, 23, 24, 25, 26, 100]) {
    const chosen = groups(count, 8).flat();
    assert.is(new Set(chosen).size, chosen.length, `${count}`);
    assert.is(chosen.length, Math.min(count, 24));
  }
});

test('hard cases: the lowest by any score, what was not measured left aside', () => {
  const photos = somePhotos(40);
  const hard = hardestPhotos(photos, 2);
  const low = photos.filter(({ boundary_f }) => boundary_f !== null).sort((a, b) => a.boundary_f! - b.boundary_f!);
  for (const photo of [photos[0], photos[1], photos[38], photos[39], low[0], low[1]]) assert.ok(hard.includes(photo));
  assert.ok(hard.length <= 8);
  assert.equal(
    hard.map(({ dice }) => dice),
    hard.map(({ dice }) => dice).sort((a, b) => a - b),
  );
});

test('a histogram counts every value once, and edges in the bin above', () => {
  const bins = histogram([0.8, 0.9, 0.95, 1, 0.81], 5);
  assert.equal(bins, [
    { from: 0.8, to: 0.85, count: 2 },
    { from: 0.85, to: 0.9, count: 0 },
    { from: 0.9, to: 0.95, count: 1 },
    { from: 0.95, to: 1, count: 2 },
  ]);
  for (const values of [[1], [0], [0, 1], [0.999], [0.3, 0.7, 0.7]]) {
    const made = histogram(values, 20);
    assert.is(
      made.reduce((sum, { count }) => sum + count, 0),
      values.length,
    );
    assert.is(made.at(-1)!.to, 1);
    assert.ok(made[0].from >= 0 && made[0].from <= Math.min(...values), JSON.stringify(made));
  }
});

// import numpy; numpy.quantile([1, 2, 4, 8], [0, .1, .25, .5, .75, 1])
test("quantiles are numpy's", () => {
  const values = [0, 0.1, 0.25, 0.5, 0.75, 1].map((share) => quantile([1, 2, 4, 8], share));
  [1, 1.3, 1.75, 3, 5, 8].forEach((expected, i) => assert.ok(Math.abs(values[i] - expected) <= 1e-12, `${values[i]}`));
  assert.is(quantile([7], 0.3), 7);
});

test('breeds: the lowest median first, photos without one left out', () => {
  const photos = somePhotos(40);
  const spreads = byBreed([...photos, { ...photos[0], breed: undefined, dice: 0 }]);
  assert.equal(
    spreads.map(({ name, count }) => [name, count]),
    [
      ['Cat', 20],
      ['dog', 20],
    ],
  );
  assert.is(spreads[0].five[0], photos[0].dice);
  assert.is(spreads[1].five[4], photos[39].dice);
});

test.run();
