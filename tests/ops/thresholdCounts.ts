import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { readCounts } from '../../engine/metrics.js';
import { segmentationCounts } from '../../engine/ops/segmentationCounts.js';
import { thresholdCounts } from '../../engine/ops/thresholdCounts.js';
import { LOGIT_GRID } from '../../engine/thresholdFit.js';
import { testDevice } from '../helpers/device.js';
import { binary, smallBindings } from '../helpers/pass.js';
import { evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('thresholdCounts');

test('counts are exact for odd sizes, odd and even numbers of thresholds, whole and split batches', async () => {
  for (const on of [device, smallBindings(device, 49152)]) {
    for (const [shape, grid] of [
      [[1, 1, 1, 1], { first: 0, step: 0.5, count: 1 }],
      [[3, 1, 7, 11], { first: -1, step: 0.5, count: 4 }],
      [[5, 1, 37, 41], LOGIT_GRID],
    ] as const) {
      const [n, , h, w] = shape;
      // A quarter of the logits lies on a threshold, which is background.
      const z = normal(shape, 'z', 2).map((value, i) => (i % 4 === 0 ? grid.first : value));
      const t = binary(shape);
      const [values] = await evaluate(on, { z: { shape, values: z }, t: { shape, values: t } }, (inputs) => {
        return [thresholdCounts(inputs.z, inputs.t, grid)] as const;
      });
      const expected: number[] = [];
      for (let image = 0; image < n; image++) {
        for (let k = 0; k < grid.count; k++) {
          let [both, predicted] = [0, 0];
          for (let i = image * h * w; i < (image + 1) * h * w; i++) {
            const foreground = Number(z[i] > grid.first + k * grid.step);
            both += foreground * t[i];
            predicted += foreground;
          }
          expected.push(both, predicted);
        }
      }
      assert.equal([...values], expected, `[${shape}]`);
    }
  }
});

test('at one threshold it counts what segmentationCounts counts', async () => {
  const shape = [2, 1, 19, 23];
  const given = { z: { shape, values: normal(shape, 'z') }, t: { shape, values: binary(shape) } };
  const [many, one] = await evaluate(
    device,
    given,
    ({ z, t }) => [thresholdCounts(z, t, LOGIT_GRID), segmentationCounts(z, t, { threshold: 0 })] as const,
  );
  const at = -LOGIT_GRID.first / LOGIT_GRID.step;
  readCounts(one).forEach(({ intersection, predicted }, n) => {
    const place = 2 * (n * LOGIT_GRID.count + at);
    assert.equal([many[place], many[place + 1]], [intersection, predicted]);
  });
});

test('pixels with a negative target are not counted', async () => {
  const shape = [1, 1, 1, 4];
  const given = { z: { shape, values: [3, 1, 3, 1] }, t: { shape, values: [1, 0, -1, -1] } };
  const grid = { first: 0, step: 2, count: 3 };
  const [values] = await evaluate(device, given, ({ z, t }) => [thresholdCounts(z, t, grid)] as const);
  assert.equal([...values], [1, 2, 1, 1, 0, 0]);
});

test('errors', () => {
  const x = new Graph().input('x', [1, 1, 4, 4]);
  const refused = (grid: object, message: RegExp) =>
    assert.throws(() => thresholdCounts(x, x, { first: 0, step: 1, count: 3, ...grid }), message);
  refused({ count: 0 }, /0 thresholds from 0 by 1; 1 to 64 thresholds/);
  refused({ count: 65 }, /65 thresholds/);
  refused({ step: 0 }, /by 0; .* a positive step/);
  refused({ first: NaN }, /from NaN/);
});

test.run();
