// Averaged weights, two classes, what an evaluation can count, and pixels that it leaves out.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readBoundaryCounts, readCounts } from '../../engine/metrics.js';
import { LOGIT_GRID, ThresholdFit } from '../../engine/thresholdFit.js';
import { Variables } from '../../engine/variables.js';
import { EvaluationStep } from '../../nets/evaluationStep.js';
import { TrainingStep } from '../../nets/trainingStep.js';
import { testDevice } from '../helpers/device.js';
import { assertClose } from '../helpers/pass.js';
import { photos, plain, settings, SIZE, train } from '../helpers/training.js';

const device = await testDevice();
const test = suite('evaluation step');

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

test.run();
