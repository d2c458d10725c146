import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EpochRecord, RunFolder } from '../../cli/runFolder.js';
import { resolveSettings, resumeSettings } from '../../cli/settings.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('cli/runFolder');

const record = (epoch: number): EpochRecord => ({
  epoch,
  train_loss: 1,
  valid_loss: 1,
  valid_dice: 0.5,
  valid_iou: 0.3,
  learning_rate: 0.001,
  images_per_second: 10,
  gradient_norm: 1,
  waiting: 0,
});

test('runs are numbered from the highest on; a folder with anything in it is refused', () =>
  inDirectory((directory) => {
    const before = process.cwd();
    process.chdir(directory);
    try {
      assert.is(RunFolder.create().path, join('runs', '1'));
      RunFolder.create(join('runs', '7'));
      RunFolder.create(join('runs', 'named'));
      assert.is(RunFolder.create().path, join('runs', '8'));
      assert.is(RunFolder.create(join('runs', 'named')).path, join('runs', 'named'));
      writeFileSync(join('runs', 'named', 'x'), '');
      assert.throws(() => RunFolder.create(join('runs', 'named')), /not empty/);
    } finally {
      process.chdir(before);
    }
  }));

test('history: later epochs and a last line that is cut off are dropped, other damage is named', () =>
  inDirectory(async (directory) => {
    const folder = RunFolder.create(join(directory, 'run'));
    assert.equal(folder.readHistory(3), []);
    folder.writeHistory([1, 2, 3].map(record));
    assert.is(readFileSync(folder.history, 'utf8').split('\n').length, 4);
    assert.equal(folder.readHistory(2), [record(1), record(2)]);
    writeFileSync(folder.history, `${JSON.stringify(record(1))}\n{"epoch": 2, "tr`);
    assert.equal(folder.readHistory(2), [record(1)]);
    writeFileSync(folder.history, `{"epoch": 1, "tr\n${JSON.stringify(record(2))}\n`);
    assert.match(await dataError(() => folder.readHistory(2)), 'line 1 is not JSON');
    assert.equal(readdirSync(folder.path), ['history.jsonl']);
  }));

test('nothing to resume is an error', () =>
  inDirectory(async (directory) => {
    assert.match(await dataError(() => RunFolder.open(join(directory, 'none'))), 'does not exist');
    assert.match(await dataError(() => RunFolder.open(directory)), 'holds no last.safetensors');
    assert.not.ok(existsSync(join(directory, 'none')));
  }));

test('a resumed run keeps its settings; only more epochs and another data path are taken', () => {
  const saved = resolveSettings({ dataPath: 'photos', epochs: 4, learningRate: 0.01 });
  assert.equal(resumeSettings('run', saved, 2, {}), saved);
  assert.equal(resumeSettings('run', saved, 2, { epochs: 6, learningRate: 0.01 }), { ...saved, epochs: 6 });
  assert.is.not(resumeSettings('run', saved, 2, { dataPath: 'moved' }).dataPath, saved.dataPath);
  assert.throws(
    () => resumeSettings('run', saved, 2, { learningRate: 0.1, size: 64 }),
    /--size 64 \(the run has 256\), --learning-rate 0.1 \(the run has 0.01\)/,
  );
  assert.throws(() => resumeSettings('run', saved, 2, { epochs: 3 }), /can only be raised/);
  assert.throws(() => resumeSettings('run', saved, 4, {}), /has finished its 4 epochs/);
  assert.throws(() => resumeSettings('run', saved, 2, { run: 'other' }), /leave --run out/);
});

test.run();
