// Micro-batches, the average of the weights, the search for bad numbers, and settings that are refused.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { movingAverageDecay } from '../../engine/ops/movingAverage.js';
import { Variables } from '../../engine/variables.js';
import { type TrainingSettings, TrainingStep } from '../../nets/trainingStep.js';
import { testDevice } from '../helpers/device.js';
import { assertClose } from '../helpers/pass.js';
import { photos, plain, settings, train } from '../helpers/training.js';

const device = await testDevice();
const test = suite('training step');

const twice = (pixels: Uint8Array) => Uint8Array.from([...pixels, ...pixels]);

for (const optimizer of [{ kind: 'sgd' }, { kind: 'adam' }] as const) {
  test(`two equal micro-batches train as one of them does, bit for bit (${optimizer.kind})`, async () => {
    const half = photos(2);
    const one = await train({ optimizer }, half, 3);
    const two = await train({ optimizer, batch: 4, microBatches: 2 }, twice(half), 3);
    assert.is(two.step.microBatches, 2);
    const both = one.results.map((result) => ({
      ...result,
      counts: Float32Array.of(...result.counts, ...result.counts),
    }));
    assert.equal(two.results, both);
    assert.equal(two.parameters, one.parameters);
    one.end();
    two.end();
  });
}

test('micro-batches: the loss is the mean of theirs, the gradient the mean, and nothing of an earlier step stays', async () => {
  const pixels = photos(4);
  const length = pixels.length / 2;
  const options = { batch: 4, microBatches: 2, clipNorm: undefined };
  const whole = await train(options, pixels, 1);
  const halves = await Promise.all(
    [0, 1].map((i) => train({ clipNorm: undefined }, pixels.subarray(i * length, (i + 1) * length), 1)),
  );
  assertClose('loss', [whole.results[0].loss], [(halves[0].results[0].loss + halves[1].results[0].loss) / 2], 1e-6);
  const counts = halves.flatMap(({ results }) => [...results[0].counts]);
  assert.equal([...whole.results[0].counts], counts);
  const start = await train(options, pixels, 0);
  for (const name of whole.parameters.keys()) {
    const moved = (after: Map<string, Float32Array>) =>
      after.get(name)!.map((x, i) => x - start.parameters.get(name)![i]);
    const [a, b] = halves.map(({ parameters }) => moved(parameters));
    const got = moved(whole.parameters);
    got.forEach((x, i) =>
      assert.ok(Math.abs(x - (a[i] + b[i]) / 2) <= 1e-6, `${name} ${i}: ${x} of ${a[i]} and ${b[i]}`),
    );
  }
  // Weights back to the start: the second step gives what the first one gave.
  for (const variable of whole.variables.parameters)
    whole.variables.set(variable, start.parameters.get(variable.name)!);
  whole.step.run(pixels, plain(4), 0.1, 2);
  assert.equal(await whole.step.result(), whole.results[0]);
  [whole, start, ...halves].forEach(({ end }) => end());
});

test('dropout draws other channels in every micro-batch, and the same in every run', async () => {
  const half = photos(2);
  const options = { net: 'unet-dropout', batch: 4, microBatches: 2 } as const;
  const one = await train(options, twice(half), 2);
  const two = await train(options, twice(half), 2);
  assert.equal(one.results, two.results);
  const single = await train({ net: 'unet-dropout' }, half, 2);
  assert.is.not(single.results[1].loss, one.results[1].loss);
  [one, two, single].forEach(({ end }) => end());
});

test('the average of the weights is what its formula says, of buffers too, and leaves training alone', async () => {
  const pixels = photos(2);
  const decay = 0.8;
  const plainRun = await train({}, pixels, 3);
  for (const options of [{ ema: decay }, { ema: decay, batch: 4, microBatches: 2 }]) {
    const variables = new Variables(device);
    const step = await TrainingStep.compile(device, variables, { ...settings, ...options });
    assert.equal(step.stateNames, ['ema', 'ema.buffers']);
    const seen: Map<string, Float32Array>[] = [];
    for (let i = 1; i <= 3; i++) {
      step.run(options.batch ? twice(pixels) : pixels, plain(options.batch ?? 2), 0.1, i);
      await step.result();
      seen.push(new Map([...(await variables.read('parameters')), ...(await variables.read('buffers'))]));
    }
    const average = new Map([...(await variables.read('ema')), ...(await variables.read('ema.buffers'))]);
    assert.is(average.size, variables.list.length);
    const weights = [decay ** 2, decay, 1].map((w) => w / (decay ** 2 + decay + 1));
    for (const [name, values] of average) {
      const expected = Array.from(values, (_, i) => weights.reduce((sum, w, k) => sum + w * seen[k].get(name)![i], 0));
      assertClose(name, values, expected, 1e-6);
    }
    assert.equal(await variables.read('parameters'), plainRun.parameters);
    step.destroy();
    variables.destroy();
  }
  plainRun.end();
  assert.is(movingAverageDecay(0.99, 1), 0);
  assert.ok(Math.abs(movingAverageDecay(0.99, 5000) - 0.99) < 1e-6);
});

test('a poisoned weight is found, also in micro-batches', async () => {
  for (const options of [{}, { batch: 4, microBatches: 2 }]) {
    const { variables, step, end } = await train({ ...options, checkNumerics: true }, photos(options.batch ?? 2), 1);
    assert.is(await step.nonFinite(), undefined);
    const name = 'dec3.conv1.weight';
    const weight = variables.find(name)!;
    const values = (await variables.read('parameters')).get(name)!;
    values[7] = Infinity;
    variables.set(weight, values);
    step.run(photos(options.batch ?? 2), plain(options.batch ?? 2), 0.1, 2);
    const found = (await step.nonFinite())!;
    assert.is(found.op, 'conv2d');
    assert.match(found.value!, /^dec3\.conv1\.conv2d \[2, /);
    assert.match(found.sources[0].value, /^the variable dec3\.conv1\.weight /);
    end();
  }
});

test('a learning rate that is none is refused before a micro-batch is submitted', async () => {
  const { variables, step, end } = await train({ batch: 4, microBatches: 2 }, photos(4), 1);
  const before = await variables.read('buffers');
  assert.throws(
    () => step.run(photos(4), plain(4), NaN, 2),
    /sgd: the learning rate is NaN; a number from 0 on is needed/,
  );
  assert.equal(await variables.read('buffers'), before);
  end();
});

test('settings that contradict each other are refused', async () => {
  const refused = async (changes: Partial<TrainingSettings>, message: RegExp) => {
    const variables = new Variables(device);
    try {
      await TrainingStep.compile(device, variables, { ...settings, ...changes });
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).name, 'SettingsError');
      assert.match((error as Error).message, message);
    }
  };
  await refused({ batch: 4, microBatches: 3 }, /^microBatches: 3 parts of a batch of 4; a divisor/);
  await refused({ ema: 1 }, /^ema: 1; the decay lies between 0 and 1/);
  await refused({ classes: 2 }, /^classes: 2, but the loss bce-dice needs 1; use classes 1, or a loss of: ce$/);
  await refused({ loss: 'ce', classes: 1 }, /^classes: 1, but the loss ce needs 2/);
});

test.run();
