import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variables } from '../../engine/variables.js';
import {
  chooseMicroBatches,
  defaultMemoryBudget,
  describeMicroBatches,
  trainingBytes,
} from '../../nets/microBatches.js';
import { type TrainingSettings, TrainingStep } from '../../nets/trainingStep.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const test = suite('micro-batches');

const settings: TrainingSettings = {
  net: 'unet',
  baseWidth: 2,
  size: 16,
  loss: 'bce-dice',
  seed: 3,
  initialisation: 'pytorch',
  batch: 12,
  optimizer: { kind: 'adam' },
};

test('the bytes known before are the bytes made', async () => {
  for (const changes of [{}, { microBatches: 3, ema: 0.99, clipNorm: 1 }]) {
    const expected = trainingBytes(device, { ...settings, ...changes });
    const variables = new Variables(device);
    const step = await TrainingStep.compile(device, variables, { ...settings, ...changes });
    const plans = [step.plan, ...(step.updatePlan ? [step.updatePlan] : [])];
    const made = plans.reduce((sum, { memory }) => sum + memory.transient + memory.inputs, variables.bytes);
    assert.is(expected, made);
    step.destroy();
    variables.destroy();
  }
});

test('knowing them makes no buffer and compiles nothing', () => {
  const { gpu } = device;
  const { createBuffer, createComputePipelineAsync } = gpu;
  let calls = 0;
  gpu.createBuffer = (...args) => (calls++, createBuffer.apply(gpu, args));
  gpu.createComputePipelineAsync = (...args) => (calls++, createComputePipelineAsync.apply(gpu, args));
  try {
    assert.ok(trainingBytes(device, { ...settings, ema: 0.9, microBatches: 2, baseWidth: 6 }) > 0);
  } finally {
    Object.assign(gpu, { createBuffer, createComputePipelineAsync });
  }
  assert.is(calls, 0);
});

test('the fewest parts that fit are chosen, and said', () => {
  const bytes = (microBatches: number) => trainingBytes(device, { ...settings, microBatches });
  const all = chooseMicroBatches(device, settings, bytes(1));
  assert.equal(all, {
    microBatches: 1,
    images: 12,
    bytes: bytes(1),
    wholeBytes: bytes(1),
    budget: bytes(1),
    fits: true,
  });
  assert.match(describeMicroBatches(all), /^the batch of 12 images is run at once: .* MiB of a budget of .* MiB$/);
  const three = chooseMicroBatches(device, settings, bytes(3));
  assert.equal([three.microBatches, three.images, three.fits], [3, 4, true]);
  assert.ok(bytes(2) > bytes(3));
  assert.match(
    describeMicroBatches(three),
    /^3 micro-batches of 4 images, .* MiB \(at once it would take .*, the budget is .*\); batch norm sees 4 at a time$/,
  );
});

test('a budget that nothing fits is said to be too small', () => {
  const choice = chooseMicroBatches(device, { ...settings, size: 32 }, 1000);
  assert.equal([choice.microBatches, choice.images, choice.fits], [12, 1, false]);
  assert.match(
    describeMicroBatches(choice),
    /12 micro-batches of 1 image, .*; that is more than the budget: use a smaller size/,
  );
  const one = chooseMicroBatches(device, { ...settings, size: 32, batch: 1 }, 1000);
  assert.match(describeMicroBatches(one), /^the batch of 1 image takes .*; that is more than the budget/);
});

test('a part is not made so small that batch norm has nothing to average', () => {
  // Images of 16 pixels leave one pixel at the bottom.
  const choice = chooseMicroBatches(device, settings, 1000);
  assert.equal([choice.microBatches, choice.images, choice.fits], [6, 2, false]);
});

test('without a budget it is the largest buffer of the adapter', () => {
  assert.is(chooseMicroBatches(device, settings).budget, defaultMemoryBudget(device));
  assert.ok(defaultMemoryBudget(device) >= 2 ** 28);
});

test.run();
