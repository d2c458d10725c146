// What a training shows: the table of epochs, JSON lines, event files, a dry run.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { EpochTable } from '../../cli/epochTable.js';
import { Progress } from '../../cli/progress.js';
import type { EpochRecord } from '../../cli/runFolder.js';
import { drawSample } from '../../data/sample.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';
import { readEvents } from '../helpers/events.js';

const test = suite('cli/terminal');

const record: EpochRecord = {
  epoch: 1,
  train_loss_augmented: 1.25,
  train_dice_augmented: 0.5,
  valid_loss: 0.75,
  valid_dice: 0.8,
  valid_iou: 0.7,
  learning_rate: 1e-5,
  gradient_norm: 1234.4,
  images_per_second: 45.67,
  waiting: 0.021,
  peak_bytes: 1e6,
  seconds: 3,
};

test('the table of epochs is aligned, marks the best, and repeats its headings', () => {
  const lines: string[] = [];
  const table = new EpochTable(100, new Progress({ write: (text: string) => lines.push(text.replace(/\n$/, '')) }));
  for (let epoch = 1; epoch <= 21; epoch++) table.add({ ...record, epoch }, epoch === 1);
  assert.equal(lines.slice(0, 4), [
    '               augmented                validation',
    '  epoch     loss    Dice     loss    Dice      IoU      rate    norm   img/s   wait',
    '  1/100   1.2500  0.5000   0.7500  0.8000*  0.7000    1.0e-5    1234    45.7    2 %',
    '  2/100   1.2500  0.5000   0.7500  0.8000   0.7000    1.0e-5    1234    45.7    2 %',
  ]);
  assert.is(lines.length, 2 + 20 + 2 + 1);
  assert.is(lines[22], lines[0]);
  assert.match(lines[24], /^ 21\/100 /);
});

const TINY = ['--size', '32', '--base-width', '2', '-b', '4', '-e', '2'];
const photos = { count: 14, minSize: 32, maxSize: 48, seed: 3 };

test('--json --tensorboard: lines for programs, text on stderr, event files with scalars and pictures', () =>
  inDirectory(async (directory) => {
    await drawSample(join(directory, 'photos'), photos);
    const args = ['train', '--data-path', 'photos', ...TINY, '--json', '--tensorboard', '--name', 'a'];
    const { code, stdout, stderr } = await trimap(directory, args);
    assert.is(code, 0, stderr);
    assert.not.match(stderr, '\r');
    assert.match(stderr, /\n +2\/2 /);
    const lines = stdout.trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const kinds = events.map(({ event }) => event);
    assert.is(kinds[0], 'started');
    assert.is(kinds[kinds.length - 1], 'finished');
    assert.equal(events[0].photos, { train: 10, valid: 2, test: 2 });
    const history = readFileSync(join(directory, 'runs', 'a', 'history.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const epochs = events.filter(({ event }) => event === 'epoch');
    assert.equal(
      epochs.map(({ event: _, best: __, ...rest }) => rest),
      history.map((line) => JSON.parse(line) as unknown),
    );
    assert.is((events[events.length - 1].test as { images: number }).images, 2);

    const [file] = readdirSync(join(directory, 'runs', 'a')).filter((name) => name.startsWith('events.out.tfevents.'));
    const logged = readEvents(readFileSync(join(directory, 'runs', 'a', file)));
    const values = logged.flatMap(({ step = 0, summary }) =>
      (summary?.value ?? []).map((value) => ({ step, ...value })),
    );
    const steps = (tag: string) => values.filter((value) => value.tag === tag).map(({ step }) => step);
    assert.equal(steps('step/loss_augmented'), [1, 2, 3, 4, 5, 6]);
    assert.equal(steps('epoch/valid_dice'), [3, 6]);
    assert.equal(steps('best_test/dice'), [6]);
    const dice = values.find(({ tag, step }) => tag === 'epoch/valid_dice' && step === 6)!.simpleValue;
    assert.is(dice, Math.fround(epochs[1].valid_dice as number));
    const pictures = values.filter(({ image }) => image);
    // Two validation photos: photo and truth once, predictions in both epochs.
    assert.is(pictures.length, 2 * 2 + 2 * 2);
    for (const { tag, image } of pictures) {
      const { width, height } = PNG.sync.read(Buffer.from(image!.encodedImageString));
      assert.equal([width, height, image!.colorspace], [32, 32, tag.endsWith('1_photo') ? 3 : 1], tag);
    }
    const truth = PNG.sync.read(
      Buffer.from(pictures.find(({ tag }) => tag.endsWith('2_truth'))!.image!.encodedImageString),
    );
    assert.equal([...new Set(truth.data.filter((_, i) => i % 4 === 0))].sort(), [0, 255]);
  }));

test('--dry-run: memory, speed and time, and nothing is written', () =>
  inDirectory(async (directory) => {
    await drawSample(join(directory, 'photos'), photos);
    const { code, stdout, stderr } = await trimap(directory, ['train', '--data-path', 'photos', ...TINY, '--dry-run']);
    assert.is(code, 0, stderr);
    for (const part of [
      /^data: .*photos: 10 training and 2 validation photos$/m,
      /^ +[\d.]+ MiB +dispatches .* \[4, \d+, 32, 32\]$/m,
      /^memory: [\d.]+ MiB on the device, [\d.]+ MiB of it weights/m,
      /^speed: +[\d.]+ images\/s; the first step took [\d.]+ s$/m,
      /^time: +\d+ s an epoch with its validation, \d+ s for 2 epochs/m,
    ]) {
      assert.match(stdout, part);
    }
    assert.equal(readdirSync(directory), ['photos']);
    assert.not.ok(existsSync(join(directory, '.cache')));
  }));

test.run();
