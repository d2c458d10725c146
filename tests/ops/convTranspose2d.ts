import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import type { Layout } from '../../engine/layout.js';
import { convTranspose2d } from '../../engine/ops/convTranspose2d.js';
import {
  checkConvolution,
  type ConvolutionCase,
  convolutionFamilies,
  matrixFamily,
  onFamily,
  run,
  withBindingLimit,
} from '../helpers/convolution.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, normal } from '../helpers/run.js';

const device = await testDevice();
const families = await convolutionFamilies();
const devices = families.flatMap(({ device }) => device ?? []);
const matrix = await matrixFamily();
const test = suite('convTranspose2d');

for (const golden of goldenCases('conv_transpose2d')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

const op = 'convTranspose2d';
const cases: Record<string, ConvolutionCase> = {
  '2x2, stride 2, one pixel': { op, x: [1, 3, 1, 1], out: 5, kernel: [2, 2], stride: 2, bias: true },
  '2x2, stride 2, odd sizes': { op, x: [2, 6, 5, 7], out: 3, kernel: [2, 2], stride: 2, bias: true },
  '2x2, stride 2, several blocks of channels': { op, x: [1, 130, 4, 5], out: 33, kernel: [2, 2], stride: 2 },
  '2x2, stride 2, whole blocks of eight quads': { op, x: [2, 61, 3, 11], out: 18, kernel: [2, 2], stride: 2 },
  '3x3, stride 2, padding and output padding': {
    op,
    x: [2, 5, 6, 5],
    out: 4,
    kernel: [3, 3],
    stride: 2,
    padding: 1,
    outputPadding: 1,
    bias: true,
  },
  '3x3, stride 1': { op, x: [1, 4, 5, 9], out: 6, kernel: [3, 3], padding: 1 },
  '4x4, stride 2, overlapping': { op, x: [1, 70, 9, 6], out: 66, kernel: [4, 4], stride: 2, padding: 1, bias: true },
  '1x2, stride 3 and 2: outputs that no tap reaches': {
    op,
    x: [2, 3, 4, 3],
    out: 2,
    kernel: [1, 2],
    stride: [3, 2],
    outputPadding: [2, 1],
    bias: true,
  },
};
for (const family of families) {
  for (const [name, c] of Object.entries(cases))
    test(`${family.kernels}: ${name}`, () => onFamily(family, (device) => checkConvolution(device, c)));
}

test('matrix: all of these', () =>
  onFamily(matrix, async (device) => {
    for (const c of Object.values(cases)) await checkConvolution(device, c, 'f16');
  }));

test('gradients by finite differences', async () => {
  const given = {
    x: { shape: [2, 3, 4, 5], values: normal([2, 3, 4, 5], 'x') },
    w: { shape: [3, 4, 2, 2], layout: 'transposedFilter' as Layout, values: normal([3, 4, 2, 2], 'w') },
    b: { shape: [4], layout: 'vector' as Layout, values: normal([4], 'b') },
  };
  await checkGradients(device, given, ({ x, w, b }) => convTranspose2d(x, w, b, { stride: 2 }), ['x', 'w', 'b']);
});

test('a batch larger than a binding is split', async () => {
  const c: ConvolutionCase = { op, x: [5, 6, 4, 4], out: 3, kernel: [2, 2], stride: 2, bias: true };
  for (const some of devices) await checkConvolution(withBindingLimit(some, 2048), c);
});

test('the same bits in every run', async () => {
  const c: ConvolutionCase = { op, x: [2, 6, 30, 30], out: 7, kernel: [2, 2], stride: 2, bias: true };
  for (const some of devices) {
    const [first, second] = [await run(some, c), await run(some, c)];
    for (const pass of ['y', 'dx', 'dw', 'db'] as const) assert.equal(second[pass], first[pass]);
  }
});

test('shape errors say what is wrong', () => {
  const graph = new Graph();
  const x = graph.input('x', [2, 3, 8, 8]);
  const w = graph.input('w', [4, 64, 2, 2], 'transposedFilter');
  assert.throws(
    () => convTranspose2d(x, w),
    /convTranspose2d: input has 3 channels but weight \[4, 64, 2, 2\] expects 4/,
  );
  const ok = graph.input('ok', [3, 64, 2, 2], 'transposedFilter');
  assert.throws(() => convTranspose2d(x, ok, graph.input('b', [3], 'vector')), /should be a vector of 64/);
  assert.throws(
    () => convTranspose2d(x, ok, undefined, { stride: 2, outputPadding: 2 }),
    /outputPadding 2x2 has to be smaller than the stride 2x2/,
  );
  assert.throws(
    () => convTranspose2d(graph.input('s', [1, 3, 1, 1]), ok, undefined, { padding: 1 }),
    /padding 1x1 leaves nothing/,
  );
  assert.throws(
    () => convTranspose2d(x, graph.input('t', [64, 3, 2, 2], 'filter')),
    /has layout filter, not transposedFilter/,
  );
});

test.run();
