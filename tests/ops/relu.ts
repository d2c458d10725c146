import { suite } from 'uvu';
import { relu } from '../../engine/ops/relu.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { checkGradients, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('relu');

for (const golden of goldenCases('relu')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

test('gradient by finite differences', async () => {
  const shape = [2, 3, 5, 7];
  // Away from 0, where differences and PyTorch's choice disagree.
  const values = normal(shape, 'x').map((x) => x + Math.sign(x) * 0.1);
  await checkGradients(device, { x: { shape, values } }, ({ x }) => relu(x), ['x'], { step: 1e-2 });
});

test.run();
