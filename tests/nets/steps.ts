// Micro-batches, the average of the weights, two classes, what an evaluation can count, and the search for bad numbers.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { augmentationFloats, identityAugmentation } from '../../data/augment.js';
import { readBoundaryCounts, readCounts } from '../../engine/metrics.js';
import { movingAverageDecay } from '../../engine/ops/movingAverage.js';
import { Random } from '../../engine/random.js';
import { LOGIT_GRID, ThresholdFit } from '../../engine/thresholdFit.js';
import { Variables } from '../../engine/variables.js';
import { EvaluationStep, type StepResult, type TrainingSettings, TrainingStep } from '../../nets/steps.js';
import { testDevice } from '../helpers/device.js';
import { assertClose } from '../helpers/pass.js';

const device = await testDevice();
const test = suite('steps of a net');

const SIZE = 16;
const settings: TrainingSettings = {
  net: 'unet',
  baseWidth: 2,
  size: SIZE,
  loss: 'bce-dice',
  seed: 3,
  initialisation: 'pytorch',
  batch: 2,
  optimizer: { kind: 'sgd' },
  clipNorm: 1,
};

/** Noise with a bright rectangle and its mask. */
function photos(batch: number, key = 'photos'): Uint8Array<ArrayBuffer> {
  const random = new Random(key);
  const pixels = new Uint8Array(batch * SIZE * SIZE * 4);
  for (let i = 0; i < pixels.length; i += 4) {
    const p = (i / 4) % (SIZE * SIZE);
    const inside = p % SIZE > 4 && p % SIZE < 11 && p > 5 * SIZE;
    for (let c = 0; c < 3; c++) pixels[i + c] = random.integer(120) + (inside ? 100 : 0);
    pixels[i + 3] = inside ? 1 : 0;
  }
  return pixels;
}

const plain = (batch: number) =>
  Float32Array.from({ length: batch * augmentationFloats }, (_, i) => identityAugmentation()[i % augmentationFloats]);

const twice = (pixels: Uint8Array) => Uint8Array.from([...pixels, ...pixels]);

interface Trained {
  results: StepResult[];
  parameters: Map<string, Float32Array>;
  variables: Variables;
  step: TrainingStep;
  end: () => void;
}

async function train(changes: Partial<TrainingSettings>, pixels: Uint8Array, steps: number): Promise<Trained> {
  const all = { ...settings, ...changes };
  const variables = new Variables(device);
  const step = await TrainingStep.compile(device, variables, all);
  const results = [];
  for (let i = 1; i <= steps; i++) {
    step.run(pixels, plain(all.batch), 0.1, i);
    results.push(await step.result());
  }
  const end = () => {
    step.destroy();
    variables.destroy();
  };
  return { results, parameters: await variables.read('parameters'), variables, step, end };
}

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

test('evaluation with averaged weights is evaluation of a net that has them', async () => {
  const pixels = photos(2);
  const { variables, end } = await train({ ema: 0.9 }, pixels, 3);
  const logitsOf = async (of: Variables, averagedWeights: boolean) => {
    const step = await EvaluationStep.compile(device, of, { ...settings, averagedWeights });
    step.run(pixels, plain(2));
    const logits = await step.readLogits();
    step.destroy();
    return logits;
  };
  const averaged = await logitsOf(variables, true);
  assert.not.equal(await logitsOf(variables, false), averaged);
  const other = new Variables(device);
  const made = await TrainingStep.compile(device, other, settings);
  for (const arena of ['ema', 'ema.buffers']) {
    for (const [name, values] of await variables.read(arena)) other.set(other.find(name)!, values);
  }
  assert.equal(await logitsOf(other, false), averaged);
  made.destroy();
  other.destroy();
  end();
});

test('two classes train under cross entropy, and evaluate as one logit', async () => {
  const pixels = photos(2);
  const loss = 'ce';
  const { results, variables, end } = await train(
    { loss, net: 'unet-bilinear', optimizer: { kind: 'adam' } },
    pixels,
    12,
  );
  assert.ok(results[11].loss < 0.7 * results[0].loss, `${results[0].loss} to ${results[11].loss}`);
  const step = await EvaluationStep.compile(device, variables, { ...settings, loss, net: 'unet-bilinear' });
  step.run(pixels, plain(2));
  const { counts } = await step.result();
  const logits = await step.readLogits();
  assert.is(logits.length, 2 * SIZE * SIZE);
  assert.is(readCounts(counts)[0].predicted, logits.subarray(0, SIZE * SIZE).filter((z) => z > 0).length);
  step.destroy();
  end();
});

test('an evaluation counts what it is asked to count', async () => {
  const pixels = photos(2);
  const { variables, end } = await train({}, pixels, 5);
  const bare = await EvaluationStep.compile(device, variables, settings);
  bare.run(pixels, plain(2));
  const plainResult = await bare.result();
  assert.equal(Object.keys(plainResult).sort(), ['counts', 'loss']);
  const logits = await bare.readLogits();

  const all = { ...settings, boundary: true, softSums: true, thresholds: LOGIT_GRID, threshold: 0.5 };
  const step = await EvaluationStep.compile(device, variables, all);
  step.run(pixels, plain(2));
  const result = await step.result();
  assert.is(result.loss, plainResult.loss);
  const images = readCounts(result.counts);
  images.forEach(({ predicted }, n) => {
    const part = logits.subarray(n * SIZE * SIZE, (n + 1) * SIZE * SIZE);
    assert.is(predicted, part.filter((z) => z > 0.5).length);
  });
  assert.is(readBoundaryCounts(result.boundary!).length, 2);
  const p = logits.reduce((sum, z) => sum + 1 / (1 + Math.exp(-z)), 0);
  assertClose('sum of probabilities', [result.softSums![1]], [p], 1e-5);
  const fit = new ThresholdFit();
  fit.add(result.thresholdCounts!, images);
  assert.ok(fit.best().dice >= fit.best().diceAtZero!);
  bare.destroy();
  step.destroy();
  end();
});

test('pixels that are ignored count as those of no label', async () => {
  const pixels = photos(2);
  // The border's pixels: some of the foreground, some of the background.
  for (let i = 3; i < pixels.length; i += 28) pixels[i] = 2;
  const ignoring = { foreground: [1], ignored: [2] };
  const { results, variables, end } = await train({ ...ignoring, optimizer: { kind: 'adam' } }, pixels, 12);
  assert.ok(results[11].loss < 0.8 * results[0].loss, `${results[0].loss} to ${results[11].loss}`);
  const step = await EvaluationStep.compile(device, variables, { ...settings, ...ignoring });
  step.run(pixels, plain(2));
  const { counts } = await step.result();
  const ignored = pixels.filter((byte, i) => i % 4 === 3 && byte === 2).length;
  const counted = readCounts(counts).reduce((sum, image) => sum + image.pixels, 0);
  assert.is(counted, 2 * SIZE * SIZE - ignored);
  step.destroy();
  try {
    await EvaluationStep.compile(device, variables, { ...settings, ...ignoring, boundary: true });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, 'boundary: it cannot be found where pixels are ignored');
  }
  end();
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
