// The commands end to end, each in a process of its own, around one run of a tiny network on a tiny drawn sample.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCheckpoint } from '../../cli/checkpoint.js';
import type { EpochRecord } from '../../cli/runFolder.js';
import { decodeMask, decodePhoto } from '../../data/decode.js';
import { readSafetensors, writeSafetensors } from '../../data/safetensors.js';
import { drawSample } from '../../data/sample.js';
import { trimap } from '../helpers/cli.js';
import { gif } from '../helpers/data.js';

const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
const at = (...parts: string[]) => join(directory, ...parts);
const TINY = ['--size', '32', '--base-width', '2', '-b', '4'];

const test = suite('cli/train');
test.after(() => rmSync(directory, { recursive: true, force: true }));

// 14 photos: 10 for training (so the third batch of an epoch wraps around), 2 for validation, 2 for the test.
await drawSample(at('photos'), { count: 14, minSize: 32, maxSize: 48, seed: 3 });
const first = await trimap(directory, ['train', '--data_path', 'photos', ...TINY, '--epochs', '3', '--lr', '0.01']);

const history = (run: string): EpochRecord[] =>
  readFileSync(at('runs', run, 'history.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as EpochRecord);
const json = (...parts: string[]) => JSON.parse(readFileSync(at(...parts), 'utf8'));
/** Without what the clock decides. */
const withoutTimes = (records: EpochRecord[]) =>
  records.map(({ images_per_second, waiting, seconds, ...rest }) => rest);
const lastState = (run: string) => readCheckpoint(at('runs', run, 'last.safetensors')).info!.state;

/** Ends with this code and one line on stderr (besides the adapter's own) that contains every part. */
async function fails(code: number, args: string[], ...parts: string[]): Promise<void> {
  const result = await trimap(directory, args);
  assert.is(result.code, code, result.stderr);
  assert.not.match(result.stderr, /\n {4}at /);
  const line = result.stderr.split('\n').find((text) => text.startsWith('error: ')) ?? '';
  for (const part of parts) assert.ok(line.includes(part), `"${part}" is not in: ${result.stderr}`);
}

test('a run says what it does, and writes settings, split, history, checkpoints, scores and log', () => {
  assert.is(first.code, 0, first.stderr);
  assert.match(first.stdout.split('\n')[0], /^training: unet with base width 2, 32x32 pixels, 3 epochs/);
  for (const part of [
    'adapter: ',
    'Oxford-IIIT Pet: 10 training, 2 validation, 2 test',
    'plan: ',
    '; fused: 18 batchNorm2d+relu, ',
    ' conv2dInputGradient+channelSlice, 18 reluGradient+batchNorm2dGradient, 1 segmentationSums, 1 segmentationSumsGradient; ',
    'all foreground',
    'all background',
    '\n  3/3  ',
  ]) {
    assert.ok(first.stdout.includes(part), `"${part}" is not in: ${first.stdout}`);
  }
  assert.not.ok(first.stdout.includes('\r'));

  const records = history('unet');
  assert.equal(
    records.map(({ epoch }) => epoch),
    [1, 2, 3],
  );
  const keys = [
    'epoch',
    'train_loss_augmented',
    'train_dice_augmented',
    'valid_loss',
    'valid_dice',
    'valid_iou',
    'learning_rate',
    'gradient_norm',
    'images_per_second',
    'waiting',
    'peak_bytes',
    'seconds',
  ];
  for (const record of records) {
    assert.equal(Object.keys(record), keys);
    for (const value of Object.values(record)) assert.ok(Number.isFinite(value), JSON.stringify(record));
  }
  const best = Math.max(...records.map(({ valid_dice }) => valid_dice));
  assert.is(json('runs', 'unet', 'best.json').validation.dice, best);
  const split = json('runs', 'unet', 'split.json');
  assert.equal([split.train.length, split.valid.length, split.test.length], [10, 2, 2]);
  const { photos, scores } = json('runs', 'unet', 'test.json');
  assert.equal(
    photos.map(({ name }: { name: string }) => name),
    split.test,
  );
  assert.ok(photos.every(({ breed }: { breed: string }) => ['drawn_dog', 'Drawn_cat'].includes(breed)));
  for (const [key, mean] of [
    ['dice', scores.dice],
    ['iou', scores.iou],
    ['precision', scores.precision],
    ['recall', scores.recall],
    ['boundary_f', scores.boundaryF],
  ]) {
    assert.ok(Math.abs((photos[0][key] + photos[1][key]) / 2 - mean) <= 1e-12, `${key} of ${JSON.stringify(photos)}`);
  }
  assert.equal(lastState('unet').step, 9);

  const names = json('runs', 'unet', 'best.json').settings;
  assert.is(names.net, 'unet');
  const { started, ended, command, resumed } = json('runs', 'unet', 'environment.json');
  assert.ok(Date.parse(started) <= Date.parse(ended));
  assert.equal([command[0], resumed], ['train', []]);
  const log = readFileSync(at('runs', 'unet', 'log.txt'), 'utf8').split('\n');
  const shown = first.stdout.split('\n').map((line) => line.trimEnd());
  assert.equal(
    log.map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z ?/, '')),
    shown,
  );
  assert.equal(readdirSync(at('runs', 'unet')).sort(), [
    'best.json',
    'best.safetensors',
    'curves.png',
    'curves.svg',
    'environment.json',
    'history.csv',
    'history.jsonl',
    'last.json',
    'last.safetensors',
    'log.txt',
    'pictures',
    'report.html',
    'settings.json',
    'split.json',
    'test.json',
    'valid.json',
  ]);
  assert.equal(readdirSync(at('runs', 'unet', 'pictures')).sort(), [
    'best.png',
    'cases',
    'epoch-001.png',
    'epoch-002.png',
    'epoch-003.png',
    'epochs',
    'worst.png',
  ]);
  const report = readFileSync(at('runs', 'unet', 'report.html'), 'utf8');
  for (const part of ['finished', 'Worst, median and best photos', 'epoch 3']) assert.ok(report.includes(part), part);
});

test('stopped inside the run and resumed, a run ends with the same bits', async () => {
  const args = ['train', '--data-path', 'photos', ...TINY, '-e', '3', '--lr', '0.01', '--run', join('runs', 'stopped')];
  const stopped = await trimap(directory, args, { stopAt: '\n  1/3  ' });
  assert.is(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, `go on with: trimap resume ${join('runs', 'stopped')}`);
  assert.ok(lastState('stopped').epoch < 3);

  // A line of an epoch whose checkpoint was lost is made again.
  const historyPath = at('runs', 'stopped', 'history.jsonl');
  writeFileSync(historyPath, `${readFileSync(historyPath, 'utf8')}{"epoch":99}\n`);
  const resumed = await trimap(directory, ['resume', join('runs', 'stopped')]);
  assert.is(resumed.code, 0, resumed.stderr);
  assert.equal(withoutTimes(history('stopped')), withoutTimes(history('unet')));
  for (const file of ['last.safetensors', 'best.safetensors']) {
    const [one, two] = ['unet', 'stopped'].map((run) => readSafetensors(at('runs', run, file)));
    assert.equal([...two.tensors.keys()], [...one.tensors.keys()]);
    for (const [name, { data }] of one.tensors) {
      assert.is(Buffer.compare(bytes(data), bytes(two.tensors.get(name)!.data)), 0, `${file}: ${name}`);
    }
  }
  assert.equal(
    readFileSync(at('runs', 'stopped', 'last.safetensors')),
    readFileSync(at('runs', 'unet', 'last.safetensors')),
  );

  await fails(2, ['resume', join('runs', 'stopped')], 'has finished its 3 epochs', '--epochs');
  await fails(3, ['resume', join('runs', 'none')], 'nothing to resume');
  await fails(2, ['train', '--data-path', 'photos', ...TINY, '--run', join('runs', 'unet')], 'is not empty', 'resume');
});

const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength);

test('evaluate gives the scores that training had, and those of another split', async () => {
  const model = join('runs', 'unet', 'best.safetensors');
  const valid = await trimap(directory, ['evaluate', '--model', model, '--json']);
  assert.is(valid.code, 0, valid.stderr);
  const { model: path, split, border, threshold, boundaryF, dataSetBoundaryF, ...scores } = JSON.parse(valid.stdout);
  assert.equal([path, split, border, threshold], [model, 'valid', 'pet', 0.5]);
  assert.ok(boundaryF >= 0 && dataSetBoundaryF >= 0);
  assert.equal(scores, json('runs', 'unet', 'best.json').validation);
  const other = await trimap(directory, [
    'evaluate',
    '--model',
    model,
    '--split',
    'train',
    '-b',
    '3',
    '--data-path',
    'photos',
  ]);
  assert.is(other.code, 0, other.stderr);
  assert.match(other.stdout, /^train, 10 photos +mean over photos +all pixels as one\nDice +0\.\d{4} +0\.\d{4}$/m);
});

test('predict writes masks of 0 and 255 and overlays at the size of each photo', async () => {
  const photos = readdirSync(at('photos', 'images')).map((name) => at('photos', 'images', name));
  copyFileSync(photos[0], at('single.jpg'));
  cpSync(at('photos', 'images'), at('folder', 'inner'), { recursive: true });
  const model = join('runs', 'unet', 'best.safetensors');
  const { code, stderr } = await trimap(directory, [
    'predict',
    'single.jpg',
    'folder',
    '--model',
    model,
    '--output',
    'out',
  ]);
  assert.is(code, 0, stderr);
  assert.is(readdirSync(at('out', 'masks', 'inner')).length, photos.length);
  const inner = readdirSync(at('folder', 'inner')).map((name) => [
    at('folder', 'inner', name),
    join('inner', name.replace('.jpg', '.png')),
  ]);
  for (const [photo, name] of [[at('single.jpg'), 'single.png'], ...inner]) {
    const { height, width } = decodePhoto(readFileSync(photo), photo);
    const mask = decodeMask(readFileSync(at('out', 'masks', name)), name);
    assert.equal([mask.height, mask.width], [height, width]);
    assert.ok(mask.values.every((value) => value === 0 || value === 255));
    const overlay = decodePhoto(readFileSync(at('out', 'overlays', name)), name);
    assert.equal([overlay.height, overlay.width], [height, width]);
  }
});

test('predict: files that are no photos, and weights that are no numbers', async () => {
  writeFileSync(at('film.jpg'), gif);
  const model = join('runs', 'unet', 'best.safetensors');
  await fails(3, ['predict', 'film.jpg', 'single.jpg', '--model', model], 'film.jpg', 'GIF', '--on-bad-file skip');
  const skipping = ['predict', 'film.jpg', 'single.jpg', '--model', model, '--on-bad-file', 'skip', '--output', 'kept'];
  const skipped = await trimap(directory, skipping);
  assert.is(skipped.code, 0, skipped.stderr);
  assert.match(skipped.stdout, 'left out: film.jpg');
  assert.equal(readdirSync(at('kept', 'masks')), ['single.png']);

  const { tensors, metadata } = readSafetensors(at(model));
  tensors.get('head.bias')!.data[0] = NaN;
  writeSafetensors(at('nan.safetensors'), tensors, metadata);
  await fails(3, ['predict', 'single.jpg', '--model', 'nan.safetensors'], 'head.bias holds NaN');
  await fails(3, ['predict', 'single.jpg', '--model', 'none.safetensors'], 'none.safetensors does not exist');
});

test('train from weights, which have to fit, with the split of another run', async () => {
  const model = join('runs', 'unet', 'best.safetensors');
  const args = ['train', '--data-path', 'photos', '-e', '1', '--size', '32', '-b', '4'];
  await fails(
    3,
    [...args, '--base-width', '4', '--model', model],
    'unet with base width 2, not of unet with base width 4',
  );
  const { tensors } = readSafetensors(at(model));
  tensors.delete('head.bias');
  tensors.set('extra', { dtype: 'F32', shape: [1], data: Float32Array.of(0) });
  writeSafetensors(at('bare.safetensors'), tensors);
  await fails(
    3,
    [...args, '--base-width', '2', '--model', 'bare.safetensors'],
    '1 missing: head.bias',
    '1 unexpected: extra',
  );
  const split = join('runs', 'unet', 'split.json');
  const good = await trimap(directory, [
    ...args,
    '--base-width',
    '2',
    '--model',
    model,
    '--split',
    split,
    '--name',
    'from',
  ]);
  assert.is(good.code, 0, good.stderr);
  assert.match(good.stdout, `split of ${at(split)}: 10 training, 2 validation, 2 test photos\n`);
  assert.equal(json('runs', 'from', 'split.json'), json(split));
  assert.is(json('runs', 'from', 'best.json').settings.initialWeights, at(model));
});

test('a loss that is no number ends the run with step, rate and photos', async () => {
  const run = ['train', '--data-path', 'photos', ...TINY, '-e', '2', '--lr', '1e30', '--run', join('runs', 'nan')];
  await fails(1, run, 'step ', 'learning rate 1e+30', 'rawn_', '--learning-rate');
  assert.not.ok(existsSync(at('runs', 'nan', 'best.safetensors')));
});

test('bad data is named in one line', async () => {
  cpSync(at('photos'), at('damaged'), { recursive: true });
  const listed = readFileSync(at('damaged', 'annotations', 'trainval.txt'), 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[0]);
  writeFileSync(at('damaged', 'images', `${listed[1]}.jpg`), gif);
  const args = ['train', '--data-path', 'damaged', ...TINY, '-e', '1'];
  await fails(3, args, `${listed[1]}.jpg`, 'GIF', '--on-bad-file skip');
  await fails(3, ['train', '--data-path', 'nowhere'], 'nowhere does not exist');
  await fails(4, ['info', '--adapter', 'no such adapter'], 'no such adapter');
});

test('info names adapter, limits and versions', async () => {
  const { code, stdout, stderr } = await trimap(directory, ['info', '--json']);
  assert.is(code, 0, stderr);
  const found = JSON.parse(stdout);
  assert.ok(found.adapter.vendor !== undefined && found.limits.maxBufferSize > 0 && found.engine.kernels);
  assert.is(found.versions.node, process.versions.node);
});

test.run();
