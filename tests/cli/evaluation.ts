// Scores of saved weights: by the command, and counted by hand from the logits.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshState, saveCheckpoint } from '../../cli/checkpoint.js';
import { baselines, Evaluator, logitOf, type Scores, unaugmented } from '../../cli/evaluation.js';
import { type Measured, scoreReport } from '../../cli/scoreReport.js';
import { type Border, modelSettings } from '../../cli/settings.js';
import { resolveSettings } from '../../cli/trainFlags.js';
import { openCache } from '../../data/cache.js';
import { openDataset, type SplitName } from '../../data/dataset.js';
import { drawSample } from '../../data/sample.js';
import { LOGIT_GRID } from '../../engine/thresholdFit.js';
import { Variables } from '../../engine/variables.js';
import { trimap } from '../helpers/cli.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const test = suite('cli/evaluation');

const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
const at = (...parts: string[]) => join(directory, ...parts);
const SIZE = 32;
const AREA = SIZE * SIZE;

// 14 photos: 10 for training, 2 for validation, 2 for the test. The weights are as they begin.
await drawSample(at('photos'), { count: 14, minSize: 32, maxSize: 48, seed: 3 });
const settings = resolveSettings({ dataPath: at('photos'), size: SIZE, baseWidth: 2, batchSize: 4 });
const dataset = openDataset(at('photos'), { seed: settings.seed, onBadFile: 'stop' });
const cache = await openCache(dataset, { height: SIZE, width: SIZE, directory: at('.cache', 'trimap') });
const variables = new Variables(device);
const evaluator = new Evaluator(device, variables, modelSettings(settings));
test.after(async () => {
  evaluator.destroy();
  variables.destroy();
  await cache.close();
  rmSync(directory, { recursive: true, force: true });
});
const step = await evaluator.step(2);
await saveCheckpoint(at('made.safetensors'), variables, [], {
  settings,
  state: freshState(),
  validation: null,
  trainingPhotos: '',
});

/** Mask bytes and logits of the two photos of a split. */
async function photosOf(split: SplitName): Promise<{ mask: Uint8Array; logits: Float32Array }[]> {
  const records = new Uint8Array(2 * cache.recordBytes);
  for (const [i, index] of cache.indices(split).entries()) {
    await cache.read(index, records.subarray(i * cache.recordBytes, (i + 1) * cache.recordBytes));
  }
  step.run(records, unaugmented(2));
  const logits = await step.readLogits();
  return [0, 1].map((i) => ({
    mask: Uint8Array.from({ length: AREA }, (_, p) => records[(i * AREA + p) * 4 + 3]),
    logits: logits.slice(i * AREA, (i + 1) * AREA),
  }));
}
const photos = { valid: await photosOf('valid'), test: await photosOf('test') };

/** A probability that half of the test photos' pixels are above. */
const all = [...photos.test[0].logits, ...photos.test[1].logits].sort((a, b) => a - b);
const half = 1 / (1 + Math.exp(-(all[AREA] + all[AREA - 1]) / 2));

/** Counts pixel by pixel: true positives, false positives, false negatives, all. */
function countOf({ mask, logits }: { mask: Uint8Array; logits: Float32Array }, threshold: number, border: Border) {
  const counts = { tp: 0, fp: 0, fn: 0, all: 0 };
  mask.forEach((byte, p) => {
    if (byte === 2 && border === 'ignore') return;
    const truth = byte === 1 || (byte === 2 && border === 'pet');
    const predicted = logits[p] > logitOf(threshold);
    counts.all++;
    if (predicted) counts[truth ? 'tp' : 'fp']++;
    else if (truth) counts.fn++;
  });
  return counts;
}

type Counts = ReturnType<typeof countOf>;
const diceOf = ({ tp, fp, fn }: Counts) => (2 * tp) / (2 * tp + fp + fn);
const iouOf = ({ tp, fp, fn }: Counts) => tp / (tp + fp + fn);
const precisionOf = ({ tp, fp }: Counts) => tp / (tp + fp);
const recallOf = ({ tp, fn }: Counts) => tp / (tp + fn);
const accuracyOf = ({ fp, fn, all: pixels }: Counts) => (pixels - fp - fn) / pixels;
const meanOf = (images: Counts[], score: (counts: Counts) => number) => (score(images[0]) + score(images[1])) / 2;
const togetherOf = ([a, b]: Counts[]): Counts => ({
  tp: a.tp + b.tp,
  fp: a.fp + b.fp,
  fn: a.fn + b.fn,
  all: a.all + b.all,
});

const near = (got: number, expected: number, what: string) =>
  assert.ok(Math.abs(got - expected) <= 1e-12, `${what}: ${got} instead of ${expected}`);

async function evaluated(...args: string[]): Promise<Scores & Record<string, any>> {
  const { code, stdout, stderr } = await trimap(directory, [
    'evaluate',
    '--model',
    'made.safetensors',
    '--json',
    ...args,
  ]);
  assert.is(code, 0, stderr);
  return JSON.parse(stdout);
}

function checkScores(scores: Scores, images: Counts[]): void {
  near(scores.dice, meanOf(images, diceOf), 'Dice');
  near(scores.iou, meanOf(images, iouOf), 'IoU');
  near(scores.precision, meanOf(images, precisionOf), 'precision');
  near(scores.recall, meanOf(images, recallOf), 'recall');
  near(scores.pixelAccuracy, meanOf(images, accuracyOf), 'pixel accuracy');
  const together = togetherOf(images);
  near(scores.dataSetDice, diceOf(together), 'Dice of all pixels');
  near(scores.dataSetIou, iouOf(together), 'IoU of all pixels');
  near(scores.dataSetPrecision, precisionOf(together), 'precision of all pixels');
  near(scores.dataSetRecall, recallOf(together), 'recall of all pixels');
  near(scores.dataSetPixelAccuracy, accuracyOf(together), 'accuracy of all pixels');
}

test('border as background, a threshold, and the scores of the reports', async () => {
  const given = ['--split', 'test', '--border', 'background', '--threshold', String(half), '--legacy-metrics'];
  const scores = await evaluated(...given);
  const images = photos.test.map((photo) => countOf(photo, half, 'background'));
  checkScores(scores, images);
  assert.equal([scores.split, scores.border, scores.threshold, scores.fit], ['test', 'background', half, undefined]);
  assert.ok(scores.boundaryF! > 0 && scores.boundaryF! < 1 && scores.dataSetBoundaryF! > 0);
  assert.equal(scores.emptyTruth, { images: 0, predictedEmpty: 0, diceElsewhere: scores.dice });

  near(scores.pixel_agreement_report1!, scores.pixelAccuracy, 'pixel agreement');
  near(scores.mean_of_batches!, scores.dice, 'mean of the only batch');
  let [pt, sum] = [0, 0];
  for (const { mask, logits } of photos.test) {
    mask.forEach((byte, p) => {
      const probability = 1 / (1 + Math.exp(-logits[p]));
      pt += byte === 1 ? probability : 0;
      sum += probability + Number(byte === 1);
    });
  }
  assert.ok(Math.abs(scores.soft_dice_batch! - (2 * pt) / sum) <= 1e-5, `soft Dice ${scores.soft_dice_batch}`);
});

test('border ignored, the threshold fitted on validation photos although others are evaluated', async () => {
  const scores = await evaluated('--split', 'test', '--border', 'ignore', '--threshold', 'auto');
  assert.is(scores.boundaryF, undefined);
  assert.is(scores.pixel_agreement_report1, undefined);
  checkScores(
    scores,
    photos.test.map((photo) => countOf(photo, scores.threshold, 'ignore')),
  );
  const diceAt = (threshold: number) =>
    meanOf(
      photos.valid.map((photo) => countOf(photo, threshold, 'ignore')),
      diceOf,
    );
  const { fit } = scores;
  assert.equal([fit.threshold, fit.images], [scores.threshold, 2]);
  near(fit.dice, diceAt(fit.threshold), 'Dice with the threshold');
  near(fit.diceAtHalf, diceAt(0.5), 'Dice at one half');
  for (let k = 0; k < LOGIT_GRID.count; k++) {
    const other = 1 / (1 + Math.exp(-(LOGIT_GRID.first + k * LOGIT_GRID.step)));
    assert.ok(diceAt(other) <= fit.dice + 1e-12, `Dice ${diceAt(other)} at ${other}`);
  }
});

test('the loss of ignored pixels does not depend on them', async () => {
  const scores = await evaluated('--split', 'test', '--border', 'ignore');
  const terms = photos.test.map(({ mask, logits }) => {
    const counted = [...logits.keys()].filter((p) => mask[p] !== 2);
    const label = (p: number) => Number(mask[p] === 1);
    const sum = (term: (p: number) => number) => counted.reduce((total, p) => total + term(p), 0);
    const probability = (p: number) => 1 / (1 + Math.exp(-logits[p]));
    const bce = sum((p) => Math.log1p(Math.exp(label(p) ? -logits[p] : logits[p])));
    const pt = sum((p) => probability(p) * label(p));
    return { bce, pixels: counted.length, dice: 1 - (2 * pt + 1) / (sum(probability) + sum(label) + 1) };
  });
  const [a, b] = terms;
  const expected = (a.bce + b.bce) / (a.pixels + b.pixels) + (a.dice + b.dice) / 2;
  assert.ok(Math.abs(scores.loss - expected) <= 1e-5, `${scores.loss} instead of ${expected}`);
});

test('the printed table says what its numbers mean', async () => {
  const args = ['evaluate', '--model', 'made.safetensors', '--threshold', 'auto'];
  const { code, stdout, stderr } = await trimap(directory, args);
  assert.is(code, 0, stderr);
  assert.match(stdout, /^data: trimaps: 1 \(object\) and 3 \(border\) are foreground, 2 is background$/m);
  assert.match(stdout, /^threshold: 0\.\d+, fitted on 2 validation photos, .* the scores below are of these photos/m);
  assert.match(stdout, /^valid, 2 photos +mean over photos +all pixels as one$/m);
  for (const name of ['Dice', 'IoU', 'precision', 'recall', 'pixel accuracy', 'boundary F at 2 px']) {
    assert.match(stdout, new RegExp(`^${name} +[01]\\.\\d{4} +[01]\\.\\d{4}$`, 'm'));
  }
  assert.match(stdout, /T: the mask, the object with its border\. Both at 32x32\./);
  assert.match(stdout, 'Photos whose mask is empty: none.');
});

test('predict takes a threshold; what is none is refused', async () => {
  const photo = at('photos', 'images', readdirSync(at('photos', 'images'))[0]);
  const predict = ['predict', photo, '--model', 'made.safetensors', '--output', 'out', '--threshold'];
  const strict = await trimap(directory, [...predict, '0.999999']);
  assert.is(strict.code, 0, strict.stderr);
  assert.match(strict.stdout, 'the mask is empty');
  const lax = await trimap(directory, [...predict, '1e-6']);
  assert.match(lax.stdout, 'the mask is full');
  for (const [args, message] of [
    [[...predict, 'auto'], '--threshold auto: give a probability above 0 and below 1, such as 0.5'],
    [['evaluate', '--model', 'made.safetensors', '--threshold', '1'], 'such as 0.5, or auto'],
    [['evaluate', '--model', 'made.safetensors', '--border', 'cat'], 'It is one of pet, background, ignore'],
  ] as const) {
    const { code, stderr } = await trimap(directory, args);
    assert.is(code, 2);
    assert.match(stderr, message);
  }
});

test('baselines by border', async () => {
  const indices = cache.indices('test');
  for (const border of ['pet', 'background', 'ignore'] as const) {
    const { foreground, background } = await baselines(cache, indices, border);
    const images = photos.test.map(({ mask }) =>
      countOf({ mask, logits: new Float32Array(AREA).fill(1) }, 0.5, border),
    );
    near(foreground.dice, meanOf(images, diceOf), `${border}: Dice of all foreground`);
    near(foreground.pixelAccuracy, meanOf(images, accuracyOf), `${border}: accuracy of all foreground`);
    assert.is(background.dice, 0);
    near(background.pixelAccuracy, 1 - meanOf(images, ({ tp, fn, all: pixels }) => (tp + fn) / pixels), border);
  }
});

test('empty masks are counted apart', () => {
  const scores: Scores = {
    images: 3,
    loss: 1,
    dice: 0.6,
    iou: 0.5,
    precision: 0.4,
    recall: 0.3,
    pixelAccuracy: 0.7,
    dataSetDice: 0.6,
    dataSetIou: 0.5,
    dataSetPrecision: 0.4,
    dataSetRecall: 0.3,
    dataSetPixelAccuracy: 0.7,
    emptyTruth: { images: 2, predictedEmpty: 1, diceElsewhere: 0.8 },
  };
  const measured: Measured = { split: 'test', scores, threshold: 0.5, border: 'ignore', size: 64, batchSize: 2 };
  const text = scoreReport(measured);
  const line =
    'Photos whose mask is empty: 2, 1 of them with an empty prediction (Dice 1), 1 without (Dice 0); ' +
    'mean Dice of the other 1: 0.8000.';
  assert.ok(text.split('\n').includes(line), text);
  assert.match(text, 'Boundary F is not measured');
  assert.match(text, /^boundary F at 2 px +- +-$/m);
  const only = { ...scores, emptyTruth: { images: 3, predictedEmpty: 3, diceElsewhere: null } };
  assert.match(
    scoreReport({ ...measured, scores: only }),
    /Photos whose mask is empty: 3, .* 0 without \(Dice 0\)\.\n?/,
  );
});

test.run();
