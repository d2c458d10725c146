import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { readCounts } from '../../engine/metrics.js';
import { segmentationCounts } from '../../engine/ops/segmentationCounts.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { binary, smallBindings } from '../helpers/pass.js';
import { evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('segmentationCounts');

for (const golden of goldenCases('metrics')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

test('counts are exact for odd sizes, whole and split batches, with a threshold on logits', async () => {
  for (const on of [device, smallBindings(device, 32768)]) {
    for (const shape of [
      [1, 1, 1, 1],
      [3, 1, 7, 11],
      [5, 1, 37, 41],
    ]) {
      const [n, , h, w] = shape;
      // A quarter of the logits lies on the threshold, which is background.
      const z = normal(shape, 'z').map((value, i) => (i % 4 === 0 ? 0.25 : value));
      const t = binary(shape);
      const [values] = await evaluate(on, { z: { shape, values: z }, t: { shape, values: t } }, (inputs) => {
        return [segmentationCounts(inputs.z, inputs.t, { threshold: 0.25 })] as const;
      });
      const expected = Array.from({ length: n }, (_, image) => {
        const counts = { intersection: 0, predicted: 0, true: 0, pixels: h * w };
        for (let i = image * h * w; i < (image + 1) * h * w; i++) {
          const predicted = Number(z[i] > 0.25);
          counts.intersection += predicted * t[i];
          counts.predicted += predicted;
          counts.true += t[i];
        }
        return counts;
      });
      assert.equal(readCounts(values), expected, `[${shape}]`);
    }
  }
});

test('pixels with a negative target are not counted', async () => {
  const shape = [2, 1, 1, 5];
  const given = {
    z: { shape, values: [1, 1, -1, -1, 1, 1, 1, 1, 1, 1] },
    t: { shape, values: [1, 0, 1, -1, -1, -1, -1, -1, -1, -1] },
  };
  const [values] = await evaluate(device, given, ({ z, t }) => [segmentationCounts(z, t, { threshold: 0 })] as const);
  assert.equal(readCounts(values), [
    { intersection: 1, predicted: 2, true: 2, pixels: 3 },
    { intersection: 0, predicted: 0, true: 0, pixels: 0 },
  ]);
});

test('errors', () => {
  const graph = new Graph();
  const image = (c: number, h: number) => graph.input('x', [1, c, h, h]);
  assert.throws(() => segmentationCounts(image(2, 4), image(2, 4), { threshold: 0 }), /has 2 channels; 1 needed/);
  assert.throws(
    () => segmentationCounts(image(1, 4097), image(1, 4097), { threshold: 0 }),
    /16785409 pixels an image; at most 16777216/,
  );
});

test.run();
