import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import type { Shape } from '../../engine/layout.js';
import { crossEntropyLoss } from '../../engine/ops/crossEntropyLoss.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { assertClose, binary, checkShapes, passOf } from '../helpers/pass.js';
import { checkGradients, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('crossEntropyLoss');

for (const golden of goldenCases('cross_entropy')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

const withClasses = ([n, c, h, w]: Shape) => [n, Math.max(c, 2), h, w];
const labelsOf = ([n, c, h, w]: Shape) => Array.from({ length: n * h * w }, (_, i) => (i * 7) % Math.max(c, 2));

/** The loss and its gradient in float64, NCHW. */
function reference(shape: Shape, z: ArrayLike<number>, labels: ArrayLike<number>, dLoss: number) {
  const [n, classes, h, w] = withClasses(shape);
  const pixels = h * w;
  const dx = new Float64Array(z.length);
  let loss = 0;
  for (let i = 0; i < n * pixels; i++) {
    const at = (k: number) => (Math.floor(i / pixels) * classes + k) * pixels + (i % pixels);
    const logits = Array.from({ length: classes }, (_, k) => z[at(k)]);
    const top = Math.max(...logits);
    const total = logits.reduce((sum, value) => sum + Math.exp(value - top), 0);
    loss += Math.log(total) + top - logits[labels[i]];
    logits.forEach(
      (value, k) => (dx[at(k)] = (dLoss * (Math.exp(value - top) / total - Number(k === labels[i]))) / (n * pixels)),
    );
  }
  return { y: [loss / (n * pixels)], dx };
}

test('odd shapes and numbers of classes, forward and backward', () =>
  checkShapes(
    device,
    (shape) => ({
      x: { shape: withClasses(shape), values: normal(withClasses(shape), 'z', 3) },
      labels: { shape: [shape[0], 1, shape[2], shape[3]], values: labelsOf(shape) },
      dy: { shape: [1], layout: 'vector', values: [1.5] },
    }),
    ({ x, labels }) => crossEntropyLoss(x, labels),
    (shape, { x, labels, dy }) => reference(shape, x, labels, dy[0]),
  ));

test('gradient by finite differences', async () => {
  const shape = [2, 2, 5, 7];
  const labels = [2, 1, 5, 7];
  const given = { z: { shape, values: normal(shape, 'z') }, labels: { shape: labels, values: binary(labels) } };
  await checkGradients(device, given, ({ z, labels }) => crossEntropyLoss(z, labels), ['z'], { step: 0.05 });
});

test('large logits do not overflow', async () => {
  const shape = [1, 2, 1, 3];
  const values = [1e4, -1e4, 5e3, -1e4, 1e4, 5e3];
  const labels = [1, 1, 0];
  const { y, dx } = await passOf(
    device,
    {
      x: { shape, values },
      labels: { shape: [1, 1, 1, 3], values: labels },
      dy: { shape: [1], layout: 'vector', values: [1] },
    },
    ({ x, labels: given }) => crossEntropyLoss(x, given),
  );
  const expected = reference(shape, values, labels, 1);
  assertClose('loss', y, expected.y);
  assertClose('gradient', dx, expected.dx);
});

test('shape errors', () => {
  const graph = new Graph();
  const labels = graph.input('labels', [2, 1, 4, 4]);
  assert.throws(() => crossEntropyLoss(graph.input('z', [2, 1, 4, 4]), labels), /has 1 class; 2 or more needed/);
  assert.throws(
    () => crossEntropyLoss(graph.input('z', [2, 2, 4, 5]), labels),
    /labels labels \[2, 1, 4, 4\] do not fit the logits z \[2, 2, 4, 5\]; \[2, 1, 4, 5\] needed/,
  );
});

test.run();
