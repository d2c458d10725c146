import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { mean, sum } from '../../engine/ops/sum.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { assertClose, checkShapes } from '../helpers/pass.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('sum');

for (const op of ['sum', 'mean']) {
  for (const golden of goldenCases(op)) test(`golden ${golden.name}`, () => checkOpCase(device, golden));
}

for (const [name, op] of Object.entries({ sum, mean })) {
  test(`${name} of odd shapes, forward and backward`, () =>
    checkShapes(
      device,
      (shape) => ({
        x: { shape, values: normal(shape, 'x').map((x) => x + 1) },
        dy: { shape: [1], layout: 'vector', values: [1.5] },
      }),
      ({ x }) => op(x),
      (_, { x, dy }) => {
        const scale = name === 'sum' ? 1 : 1 / x.length;
        return { y: [scale * Array.from(x).reduce((a, b) => a + b, 0)], dx: Array.from(x, () => scale * dy[0]) };
      },
    ));

  test(`${name}: gradient by finite differences`, async () => {
    const shape = [2, 3, 5, 7];
    await checkGradients(device, { x: { shape, values: normal(shape, 'x') } }, ({ x }) => op(x), ['x']);
  });
}

test('a vector', async () => {
  const values = normal([13], 'v');
  const [got] = await evaluate(device, { x: { shape: [13], layout: 'vector', values } }, ({ x }) => [sum(x)] as const);
  assertClose('sum', got, [values.reduce((a, b) => a + b, 0)]);
});

test('a long sum keeps float32 precision', async () => {
  // One after the other, float32 would lose about 1e-4 of it.
  const shape = [1, 4, 512, 513];
  const values = normal(shape, 'x', 0.01).map((x) => x + 1000.1);
  const exact = values.reduce((a, b) => a + b, 0);
  const [got] = await evaluate(device, { x: { shape, values } }, ({ x }) => [sum(x)] as const);
  assert.ok(Math.abs(got[0] - exact) <= 3e-7 * exact, `${got[0]} instead of ${exact}`);
});

test('refuses other layouts', () => {
  const words = new Graph().input('seed', [2], 'words');
  assert.throws(() => sum(words), /sum: seed \[2\] has the layout words; an image or a vector is needed/);
});

test.run();
