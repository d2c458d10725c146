import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EpochRecord, RunFolder } from '../../cli/runFolder.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('cli/runFolder');

const record = (epoch: number): EpochRecord => ({
  epoch,
  train_loss_augmented: 1,
  train_dice_augmented: 0.4,
  valid_loss: 1,
  valid_dice: 0.5,
  valid_iou: 0.3,
  learning_rate: 0.001,
  gradient_norm: 1,
  images_per_second: 10,
  waiting: 0,
  peak_bytes: 1e6,
  seconds: 2,
});

test('a run that has the name of another gets a number; a folder with anything in it is refused', () =>
  inDirectory((directory) => {
    const before = process.cwd();
    process.chdir(directory);
    try {
      const create = (name: string, path?: string) => RunFolder.create({ name, path }).path;
      assert.is(create('unet'), join('runs', 'unet'));
      assert.is(create('unet'), join('runs', 'unet-2'));
      assert.is(create('other'), join('runs', 'other'));
      assert.is(create('unet'), join('runs', 'unet-3'));
      mkdirSync('empty');
      assert.is(create('unet', 'empty'), 'empty');
      writeFileSync(join('empty', 'x'), '');
      assert.throws(() => create('unet', 'empty'), /--run empty is not empty; go on with it by trimap resume empty/);
    } finally {
      process.chdir(before);
    }
  }));

test('history: JSON lines and CSV say the same; later epochs are dropped, damage is named', () =>
  inDirectory(async (directory) => {
    const folder = RunFolder.create({ path: join(directory, 'run'), name: '' });
    assert.equal(folder.readHistory(), []);
    folder.writeHistory([1, 2, 3].map(record));
    assert.equal(folder.readHistory(2), [record(1), record(2)]);
    const [head, ...rows] = readFileSync(folder.file('historyCsv'), 'utf8').trimEnd().split('\n');
    assert.equal(head.split(','), Object.keys(record(1)));
    assert.equal(
      rows.map((row) => row.split(',').map(Number)),
      [1, 2, 3].map((epoch) => Object.values(record(epoch))),
    );
    writeFileSync(folder.file('history'), `${JSON.stringify(record(1))}\n{"epoch": 2, "tr\n`);
    assert.match(await dataError(() => folder.readHistory(2)), 'line 2 is not JSON');
    assert.equal(readdirSync(folder.path).sort(), ['history.csv', 'history.jsonl']);
  }));

test('nothing to resume is an error', () =>
  inDirectory(async (directory) => {
    assert.match(await dataError(() => RunFolder.open(join(directory, 'none'))), 'does not exist');
    assert.match(await dataError(() => RunFolder.open(directory)), 'holds no last.safetensors');
    assert.not.ok(existsSync(join(directory, 'none')));
  }));

test('a run is finished once its end is noted', () =>
  inDirectory(async (directory) => {
    const folder = RunFolder.at(directory);
    assert.is(folder.isFinished, false);
    folder.writeJson('environment', { ended: null });
    assert.is(folder.isFinished, false);
    folder.writeJson('environment', { ended: '2026-01-01T00:00:00.000Z' });
    assert.is(folder.isFinished, true);
    writeFileSync(folder.file('environment'), '{');
    assert.match(await dataError(() => folder.isFinished), 'environment.json is not JSON');
  }));

test.run();
