import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { labelledMean } from '../../engine/ops/labelledMean.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, smallBindings } from '../helpers/pass.js';
import { checkGradients, evaluate } from '../helpers/run.js';

const device = await testDevice();
const test = suite('labelledMean');

/** Zeros and ones, and -1 for every `step`-th. */
const targets = (count: number, step: number) =>
  Array.from({ length: count }, (_, i) => (i % step === step - 1 ? -1 : i % 2));

test('odd sizes, whole and split batches: x times pixels over labelled pixels', async () => {
  for (const on of [device, smallBindings(device, 32768)]) {
    for (const [shape, step] of [
      [[1, 1, 1, 1], 2],
      [[3, 1, 7, 11], 2],
      [[5, 1, 37, 41], 7],
    ] as const) {
      const pixels = shape[0] * shape[2] * shape[3];
      const t = targets(pixels, step);
      const given = { x: { shape: [1], layout: 'vector' as const, values: [3] }, t: { shape, values: t } };
      const [y] = await evaluate(on, given, (inputs) => [labelledMean(inputs.x, inputs.t)] as const);
      assertClose(`[${shape}]`, y, [(3 * pixels) / t.filter((label) => label >= 0).length], 1e-6);
    }
  }
});

test('gradient by finite differences', () => {
  const shape = [2, 1, 5, 7];
  const given = { x: { shape: [1], layout: 'vector' as const, values: [3] }, t: { shape, values: targets(70, 3) } };
  return checkGradients(device, given, ({ x, t }) => labelledMean(x, t), ['x']);
});

test('without a labelled pixel the sum of nothing stays 0', async () => {
  const shape = [1, 1, 2, 2];
  const given = {
    x: { shape: [1], layout: 'vector' as const, values: [0] },
    t: { shape, values: [-1, -1, -1, -1] },
  };
  const [y] = await evaluate(device, given, ({ x, t }) => [labelledMean(x, t)] as const);
  assert.equal([...y], [0]);
});

test('errors', () => {
  const graph = new Graph();
  const t = graph.input('t', [1, 1, 4, 4]);
  assert.throws(
    () => labelledMean(t, t),
    /labelledMean: t \[1, 1, 4, 4\] \(image\) is no mean; a vector \[1\] is needed/,
  );
  const two = graph.input('two', [1, 2, 4, 4]);
  assert.throws(
    () => labelledMean(graph.input('x', [1], 'vector'), two),
    /two \[1, 2, 4, 4\] has 2 channels; 1 needed/,
  );
});

test.run();
