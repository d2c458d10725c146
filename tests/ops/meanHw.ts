import { suite } from 'uvu';
import { meanHw } from '../../engine/ops/meanHw.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkShapes } from '../helpers/pass.js';
import { checkGradients, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('meanHw');

for (const golden of goldenCases('mean_hw')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

test('odd shapes, forward and backward', () =>
  checkShapes(
    device,
    (shape) => {
      const small = [shape[0], shape[1], 1, 1];
      return { x: { shape, values: normal(shape, 'x') }, dy: { shape: small, values: normal(small, 'dy') } };
    },
    ({ x }) => meanHw(x),
    ([n, c, h, w], { x, dy }) => {
      const y = Array.from({ length: n * c }, (_, i) => {
        return (
          Array.from(x)
            .slice(i * h * w, (i + 1) * h * w)
            .reduce((a, b) => a + b, 0) /
          (h * w)
        );
      });
      return { y, dx: Array.from(x, (_, i) => dy[Math.floor(i / (h * w))] / (h * w)) };
    },
  ));

test('gradient by finite differences', async () => {
  const shape = [2, 5, 5, 7];
  await checkGradients(device, { x: { shape, values: normal(shape, 'x') } }, ({ x }) => meanHw(x), ['x']);
});

test.run();
