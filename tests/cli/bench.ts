// What `bench` prints and how it compares; no figure is judged.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { costOf, shapeOf } from '../../bench/cost.js';
import { compareRows, comparisonTable, readRows, type Row } from '../../bench/rows.js';
import { Graph } from '../../engine/graph.js';
import { relativeError } from '../../engine/isolate.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { convTranspose2d } from '../../engine/ops/convTranspose2d.js';
import { relu } from '../../engine/ops/relu.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';

const test = suite('cli/bench');

const KEYS = ['bench', 'work', 'shape', 'variant', 'value', 'unit', 'median', 'worst', 'adapter'];

const row = (work: string, median: number): Row => ({
  bench: 'kernels',
  work,
  shape: '1x2',
  variant: 'plain',
  value: median,
  unit: 'GB/s',
  median,
  worst: median,
  adapter: 'none',
});

const rowsOf = (stdout: string): Row[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

test('costs: multiply-adds count twice, and each tensor once', () => {
  const graph = new Graph();
  const x = graph.input('x', [2, 3, 8, 10]);
  conv2d(x, graph.input('w', [5, 3, 3, 3], 'filter'), undefined, { stride: 2, padding: 1 });
  convTranspose2d(x, graph.input('u', [3, 5, 2, 2], 'transposedFilter'), undefined, { stride: 2 });
  relu(x);
  const [convolution, transposed, activation] = graph.nodes;
  assert.is(costOf(convolution).flop, 2 * (2 * 4 * 5) * 5 * 3 * 9);
  assert.is(costOf(transposed).flop, 2 * (2 * 8 * 10) * 5 * 3 * 4);
  assert.is(shapeOf(convolution), 'N2 3->5 4x5 k3 s2 p1');
  // Three channels take a vec4f.
  assert.equal(costOf(activation), { flop: 0, bytes: 2 * (2 * 4 * 8 * 10) * 4 });
});

test('a comparison: regressions first, what is missing last', () => {
  const before = [row('a', 10), row('b', 10), row('gone', 1)];
  const compared = compareRows(before, [row('new', 1), row('a', 20), row('b', 5)]);
  assert.equal(
    compared.map(({ ratio }) => ratio),
    [0.5, 2, undefined, undefined],
  );
  const lines = comparisonTable(compared).split('\n');
  assert.match(lines[1], /^ *0\.50 +10 +5 +GB\/s +kernels \| b \|/);
  assert.match(lines[3], '| gone | 1x2 | plain (only before)');
  assert.match(lines[4], '| new | 1x2 | plain (only now)');
});

test('a comparison: older files do not say that they are f32, and f16 is work of its own', () => {
  const [single, half] = [5, 20].map((median, i) => ({ ...row('a', median), precision: i === 0 ? 'f32' : 'f16' }));
  const compared = compareRows([row('a', 10)], [half, single]);
  assert.equal(
    compared.map(({ key, ratio }) => [key, ratio]),
    [
      ['kernels | a | 1x2 | plain', 0.5],
      ['kernels | a | 1x2 | plain | f16', undefined],
    ],
  );
});

test('a result that is not a number is no small error', () => {
  assert.is(relativeError(Float32Array.of(1, 2), Float32Array.of(1, 4)), 0.5);
  assert.ok(Number.isNaN(relativeError(Float32Array.of(NaN, 2), Float32Array.of(1, 2))));
});

test('kernels: keys, filter, check against the plain kernels, comparison', () =>
  inDirectory(async (directory) => {
    const bench = ['bench', 'kernels', '--size', '32', '--base-width', '2', '--batch-size', '2', '--rounds', '1'];
    const { code, stdout, stderr } = await trimap(directory, [...bench, '--filter', '4->8 8x8', '--json']);
    assert.is(code, 0, stderr);
    assert.match(stderr, /^adapter: \S/m);
    const rows = rowsOf(stdout);
    assert.equal(
      rows.slice(0, 2).map(({ work }) => work),
      ['ceiling: multiply-adds', 'ceiling: copy'],
    );
    assert.ok(rows.length > 2);
    for (const [i, measured] of rows.entries()) {
      for (const key of KEYS) assert.ok(measured[key] !== undefined, `${key} is missing`);
      assert.ok(measured.value > 0 && measured.median > 0 && measured.worst > 0);
      if (i < 2) continue;
      assert.match(measured.shape, '4->8 8x8');
      assert.is(measured.precision, 'f32');
      assert.ok((measured.error as number) <= 1e-4 && (measured.fraction as number) > 0);
    }
    const old = join(directory, 'old.json');
    writeFileSync(old, stdout);
    assert.equal(readRows(old), rows);
    const gone = { ...rows[2], work: 'adam', shape: '1 parameters' };
    writeFileSync(old, stdout + [gone, { ...gone, bench: 'peers' }].map((row) => `${JSON.stringify(row)}\n`).join(''));
    const again = await trimap(directory, [...bench, '--filter', 'adam', '--compare', 'old.json']);
    assert.is(again.code, 0, again.stderr);
    assert.match(again.stdout, /^adam +\d+ parameters +adam +/m);
    assert.match(again.stdout, /against old\.json:\nratio +before +after +unit +work\n/);
    assert.match(again.stdout, /adam \| 1 parameters .*\(only before\)/);
    assert.not.match(again.stdout, /conv2d +\|/);
    assert.not.match(again.stdout, 'peers');
  }));

test('kernels: with f16, every form once', () =>
  inDirectory(async (directory) => {
    const bench = ['bench', 'kernels', '--size', '32', '--base-width', '2', '--batch-size', '2', '--rounds', '1'];
    const more = ['--filter', '4->8 8x8 k3 s1', '--precision', 'f16', '--all-variants', '--json'];
    const { code, stdout, stderr } = await trimap(directory, [...bench, ...more]);
    assert.is(code, 0, stderr);
    const rows = rowsOf(stdout).filter(({ work }) => !work.startsWith('ceiling'));
    const names = rows.map(({ work, shape, variant }) => `${work} ${shape} ${variant}`);
    assert.is(new Set(names).size, names.length, names.join('\n'));
    const forward = rows.filter(({ work }) => work === 'conv2d').map(({ variant }) => variant);
    assert.ok(forward.includes('conv2dPlain'), forward.join('\n'));
    // The rule's favourite, and other sizes.
    assert.ok(forward.filter((variant) => variant.startsWith('conv2dTiled')).length > 1, forward.join('\n'));
    for (const { precision, error } of rows) {
      assert.is(precision, 'f16');
      assert.ok((error as number) <= 2 ** -8);
    }
  }));

test('step: keys, profile and trace', () =>
  inDirectory(async (directory) => {
    const sizes = ['--size', '32', '--base-width', '2', '--batch-size', '1', '--rounds', '1'];
    const args = [
      'bench',
      'step',
      ...sizes,
      '--skip-compile',
      '--profile',
      'trace.json',
      '--json',
      '--checkpoint-activations',
    ];
    const { code, stdout, stderr } = await trimap(directory, args);
    assert.is(code, 0, stderr);
    const rows = rowsOf(stdout);
    assert.equal(
      rows.map(({ work }) => work),
      ['train', 'infer'],
    );
    assert.equal(
      rows.map(({ variant }) => variant),
      ['f32, checkpoints', 'f32'],
    );
    const more = ['net', 'base_width', 'size', 'batch', 'precision', 'images_per_second', 'dispatches', 'peak_bytes'];
    for (const measured of rows) {
      for (const key of [...KEYS, ...more, 'compile_ms', 'compile_warm_ms', 'host_ms', 'host_total_ms', 'script_ms']) {
        assert.ok(measured[key] !== undefined, `${key} is missing`);
      }
    }
    assert.match(stderr, /^conv2dWeightGradient +[\d.]+ +[\d.]+%/m);
    const { traceEvents } = JSON.parse(readFileSync(join(directory, 'trace.json'), 'utf8')) as {
      traceEvents: { ph: string }[];
    };
    assert.is(traceEvents.filter(({ ph }) => ph === 'X').length, rows[0].dispatches);
  }));

test('data: keys', () =>
  inDirectory(async (directory) => {
    const args = ['bench', 'data', '--photos', '3', '--size', '32', '--batch-size', '2', '--rounds', '1', '--json'];
    const { code, stdout, stderr } = await trimap(directory, args);
    assert.is(code, 0, stderr);
    const rows = rowsOf(stdout);
    for (const measured of rows) {
      for (const key of KEYS) assert.ok(measured[key] !== undefined, `${key} is missing`);
      assert.is(measured.unit, 'images/s');
      assert.ok(measured.value > 0);
    }
    assert.equal(
      rows.map(({ work }) => work),
      ['decode', 'decode and resize', 'make the cache', 'read the cache', 'batches', 'draw augmentation', 'augment'],
    );
  }));

test('bad flags', () =>
  inDirectory(async (directory) => {
    writeFileSync(join(directory, 'bad.json'), '{"work": 1}\n');
    for (const [args, message] of [
      [['bench'], 'give what to bench'],
      [['bench', 'kernels', '--filter', 'nothing'], 'no work has "nothing" in its name or shape'],
      [['bench', 'kernels', '--compare', 'bad.json'], '--compare: bad.json:1 is no line of trimap bench --json'],
      [['bench', 'kernels', '--compare', 'none.json'], '--compare: ENOENT'],
      [['bench', 'kernels', '--rounds', '0'], '--rounds 0: give a whole number of 1 or more'],
    ] as const) {
      const refused = await trimap(directory, args);
      assert.is(refused.code, 2, args.join(' '));
      assert.match(refused.stderr, message);
    }
  }));

test.run();
