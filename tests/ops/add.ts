import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { add } from '../../engine/ops/add.js';
import { relu } from '../../engine/ops/relu.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('add');

for (const op of ['add_relu', 'relu_add']) {
  for (const golden of goldenCases(op)) test(`golden ${golden.name}`, () => checkOpCase(device, golden));
}

test('sums of odd shapes and of vectors', async () => {
  for (const [shape, layout] of [
    [[1, 1, 1, 1], 'image'],
    [[2, 5, 7, 11], 'image'],
    [[65], 'vector'],
  ] as const) {
    const [a, b] = [normal(shape, 'a'), normal(shape, 'b')];
    const given = { a: { shape, layout, values: a }, b: { shape, layout, values: b } };
    const [y] = await evaluate(device, given, ({ a, b }) => [add(a, b)] as const);
    assert.equal(
      y,
      a.map((value, i) => value + b[i]),
    );
  }
});

test('gradients by finite differences', async () => {
  const shape = [2, 3, 4, 5];
  const given = {
    a: { shape, values: normal(shape, 'a') },
    b: { shape, values: normal(shape, 'b').map((x) => x + Math.sign(x)) },
  };
  await checkGradients(device, given, ({ a, b }) => add(a, relu(b)), ['a', 'b']);
});

test.run();
