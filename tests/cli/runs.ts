// What is said of runs without training one: the list of them, who works on one, the log.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { spawnSync } from 'node:child_process';
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Claim, ownerOf } from '../../cli/claim.js';
import { type EpochRecord, RunFolder } from '../../cli/runFolder.js';
import { RunLog } from '../../cli/runLog.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';

const test = suite('cli/runs');

/** A run of two of three epochs, the first of which is the best. */
function makeRun(directory: string, name: string, day: number, ended: string | null): RunFolder {
  const folder = RunFolder.create({ path: join(directory, 'runs', name), name });
  folder.writeJson('settings', { net: 'unet', epochs: 3 });
  folder.writeJson('environment', { started: `2026-01-0${day}T12:00:00.000Z`, ended });
  folder.writeHistory([0.75, 0.75].map((valid_dice, i) => ({ epoch: i + 1, valid_dice }) as EpochRecord));
  return folder;
}

test('runs are listed from the oldest on, with what state they are in', () =>
  inDirectory(async (directory) => {
    makeRun(directory, 'stopped', 2, null);
    const done = makeRun(directory, 'done', 1, '2026-01-01T13:00:00.000Z');
    done.writeJson('test', { scores: { dice: 0.5 } });
    const busy = makeRun(directory, 'busy', 3, null);
    const claim = Claim.take(busy.path);
    const damaged = makeRun(directory, 'damaged', 4, null);
    writeFileSync(damaged.file('history'), '{"epoch":');
    RunFolder.create({ path: join(directory, 'runs', 'no run'), name: '' });

    const { code, stdout, stderr } = await trimap(directory, ['runs']);
    assert.is(code, 0, stderr);
    const lines = stdout.split('\n').map((line) => line.trim().split(/ {2,}/).slice(0, 7).join(' | '));
    assert.equal(lines.slice(0, 5), [
      'run | net | epochs | best Dice | of epoch | test Dice | state',
      'damaged | - | -/- | - | - | - | damaged',
      'done | unet | 2/3 | 0.7500 | 1 | 0.5000 | finished',
      'stopped | unet | 2/3 | 0.7500 | 1 | - | interrupted',
      'busy | unet | 2/3 | 0.7500 | 1 | - | running',
    ]);
    assert.match(stdout, `1 run interrupted; go on with: trimap resume ${join('runs', 'stopped')}`);
    assert.match(stdout, `damaged: ${damaged.file('history').slice(directory.length + 1)}: line 1 is not JSON`);
    claim.release();

    const json = JSON.parse((await trimap(directory, ['runs', '--json'])).stdout);
    assert.equal(
      json.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`),
      ['damaged damaged', 'done finished', 'stopped interrupted', 'busy interrupted'],
    );
    assert.equal(json[1], {
      name: 'done',
      path: join('runs', 'done'),
      net: 'unet',
      epochs_done: 2,
      epochs: 3,
      best_dice: 0.75,
      best_epoch: 1,
      test_dice: 0.5,
      started: '2026-01-01T12:00:00.000Z',
      ended: '2026-01-01T13:00:00.000Z',
      error: null,
      state: 'finished',
    });
    const none = await trimap(directory, ['runs', 'nowhere']);
    assert.is(none.code, 3);
    assert.match(none.stderr, 'error: nowhere does not exist');
  }));

test('a run has one process at a time; a dead one, or one long silent on another machine, counts as none', () =>
  inDirectory((directory) => {
    const path = join(directory, 'running.json');
    const put = (owner: object) => writeFileSync(path, JSON.stringify({ birth: null, ...owner }));
    assert.is(ownerOf(directory), undefined);
    const claim = Claim.take(directory);
    assert.is(ownerOf(directory)?.pid, process.pid);
    assert.throws(() => Claim.take(directory), new RegExp(`in the hands of process ${process.pid} on ${hostname()};`));
    claim.release();
    assert.is(ownerOf(directory), undefined);

    const { pid } = spawnSync(process.execPath, ['--version']);
    put({ pid, host: hostname() });
    assert.is(ownerOf(directory), undefined);
    // The number is in use again, by a process that began at another time.
    put({ pid: process.pid, host: hostname(), birth: 'another' });
    assert.is(ownerOf(directory), undefined);
    put({ pid: 1, host: 'elsewhere' });
    assert.is(ownerOf(directory)?.host, 'elsewhere');
    const hourAgo = Date.now() / 1000 - 3600;
    utimesSync(path, hourAgo, hourAgo);
    assert.is(ownerOf(directory), undefined);
    writeFileSync(path, '{"pid":');
    assert.is(ownerOf(directory), undefined);
    Claim.take(directory).release();
  }));

test('the log has every line with its time, those from before it was opened too, without colours and returns', () =>
  inDirectory((directory) => {
    const path = join(directory, 'log.txt');
    const log = new RunLog();
    log.add('before');
    log.open(path);
    log.add('\x1b[32mgreen\x1b[0m\nsecond\r');
    const again = new RunLog();
    again.open(path);
    again.add('resumed');
    const lines = readFileSync(path, 'utf8').split('\n');
    assert.ok(
      lines.slice(0, -1).every((line) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/.test(line)),
      lines.join(),
    );
    assert.equal(
      lines.map((line) => line.slice(25)),
      ['before', 'green', 'second', '', 'resumed', ''],
    );
  }));

test.run();
