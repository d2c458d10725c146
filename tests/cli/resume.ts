// A run that is killed at random moments, stopped by signals, and resumed each time, is the run that was never stopped.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCheckpoint } from '../../cli/checkpoint.js';
import type { EpochRecord } from '../../cli/runFolder.js';
import { drawSample } from '../../data/sample.js';
import { Random } from '../../engine/random.js';
import { trimap } from '../helpers/cli.js';

const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
const at = (...parts: string[]) => join(directory, ...parts);
const test = suite('cli/resume');
test.after(() => rmSync(directory, { recursive: true, force: true }));

/** Everything that has a state: moments, averaged weights, dropout, a schedule and a patience that follow the scores. */
const settings = {
  net: 'unet-dropout',
  dataPath: 'photos',
  size: 32,
  baseWidth: 2,
  batchSize: 4,
  epochs: 5,
  learningRate: 0.01,
  loss: 'bce-dice',
  classes: 1,
  optimizer: { kind: 'adamw', weightDecay: 0.1 },
  schedule: { kind: 'plateau', patience: 0, factor: 0.5, threshold: 0.05 },
  ema: 0.9,
  earlyStopping: 20,
  // After every step.
  saveEvery: 1e-6,
};
writeFileSync(at('settings.json'), JSON.stringify(settings));
// 10 photos for training in three batches, the last of which wraps around, 2 for validation, 2 for the test.
await drawSample(at('photos'), { count: 14, minSize: 32, maxSize: 40, seed: 5 });
const train = (run: string) => ['train', '--config', 'settings.json', '--run', run];

/** The history without what the clock decides. */
const history = (run: string) =>
  readFileSync(at(run, 'history.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { images_per_second, waiting, seconds, ...rest } = JSON.parse(line) as EpochRecord;
      return rest;
    });

const whole = await trimap(directory, train('whole'));

/** Every file is whole, whatever the moment. */
function checkReadable(run: string): void {
  for (const name of readdirSync(at(run)).filter((file) => !file.endsWith('.partial'))) {
    const path = at(run, name);
    if (name.endsWith('.json')) JSON.parse(readFileSync(path, 'utf8'));
    if (name.endsWith('.safetensors')) readCheckpoint(path);
    if (name.endsWith('.jsonl') && readFileSync(path, 'utf8') !== '') history(run);
  }
}

function checkSame(run: string): void {
  assert.equal(history(run), history('whole'));
  for (const file of ['last.safetensors', 'best.safetensors']) {
    assert.is(Buffer.compare(readFileSync(at(run, file)), readFileSync(at('whole', file))), 0, `${run}: ${file}`);
  }
  for (const file of ['valid.json', 'test.json', 'split.json']) {
    assert.equal(JSON.parse(readFileSync(at(run, file), 'utf8')), JSON.parse(readFileSync(at('whole', file), 'utf8')));
  }
  const all = readdirSync(at(run), { recursive: true, encoding: 'utf8' });
  const left = all.filter((name) => name.endsWith('.partial') || name === 'running.json');
  assert.equal(left, [], 'files of killed processes are left');
}

test('the run that is compared with', () => {
  assert.is(whole.code, 0, whole.stderr);
  const rates = history('whole').map(({ learning_rate }) => learning_rate);
  assert.is(rates.length, 5);
  assert.ok(new Set(rates).size > 1, `the schedule has no state to lose: ${rates}`);
});

test('killed and stopped at random moments and resumed each time: the same bits', async () => {
  const seed = Date.now() % 1e6;
  const random = new Random('kill', seed);
  const run = 'stopped';
  const said: string[] = [];
  let stops = 0;
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGINT', 'SIGKILL'] as const) {
    const delay = Math.round(random.uniform(0, 300));
    const begun = existsSync(at(run, 'last.safetensors'));
    const args = begun ? ['resume', run] : train(run);
    const stopped = await trimap(directory, args, { stopAt: begun ? 'first step' : 'run: ', signal, delay });
    checkReadable(run);
    const { state } = readCheckpoint(at(run, 'last.safetensors')).info!;
    said.push(`${signal} after ${delay} ms, in epoch ${state.epoch + 1} after ${state.batch} batches`);
    if (stopped.code === 0) break;
    stops++;
    if (signal === 'SIGKILL') continue;
    assert.is(stopped.code, 130, stopped.stderr);
    assert.match(stopped.stderr, `go on with: trimap resume ${run}\n`);
    assert.match(readFileSync(at(run, 'log.txt'), 'utf8'), `go on with: trimap resume ${run}\n`);
  }
  console.log(`    seed ${seed}: ${said.join('; ')}`);
  assert.ok(stops >= 2, `the run was over before it was stopped: ${said.join('; ')}`);
  if (!existsSync(at(run, 'test.json'))) {
    const rest = await trimap(directory, ['resume', run]);
    assert.is(rest.code, 0, rest.stderr);
  }
  checkSame(run);
});

test('a run that lacks only its end is not trained again', async () => {
  const environment = JSON.parse(readFileSync(at('whole', 'environment.json'), 'utf8'));
  writeFileSync(at('whole', 'environment.json'), JSON.stringify({ ...environment, ended: null }));
  const scores = readFileSync(at('whole', 'test.json'), 'utf8');
  rmSync(at('whole', 'test.json'));
  const resumed = await trimap(directory, ['resume', 'whole']);
  assert.is(resumed.code, 0, resumed.stderr);
  assert.not.match(resumed.stdout, 'training took');
  assert.is(readFileSync(at('whole', 'test.json'), 'utf8'), scores);
  const { ended, resumed: sessions } = JSON.parse(readFileSync(at('whole', 'environment.json'), 'utf8'));
  assert.ok(Date.parse(ended) > Date.parse(environment.ended));
  assert.equal(
    sessions.map(({ command }: { command: string[] }) => command),
    [['resume', 'whole']],
  );
});

test('a run that a process works on is left to it', async () => {
  writeFileSync(at('whole', 'running.json'), JSON.stringify({ pid: process.pid, host: 'elsewhere', birth: null }));
  const { code, stderr } = await trimap(directory, ['resume', 'whole', '--epochs', '6']);
  assert.is(code, 2, stderr);
  assert.match(stderr, `error: whole is in the hands of process ${process.pid} on elsewhere`);
  rmSync(at('whole', 'running.json'));
});

test('settings that do not fit the run leave no folder', async () => {
  writeFileSync(at('long.json'), JSON.stringify({ ...settings, schedule: { kind: 'cosine', warmup: 5 } }));
  const refused = await trimap(directory, ['train', '--config', 'long.json', '--run', 'refused']);
  assert.is(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, 'error: cosine schedule: 5 epochs with a warm-up of 5');
  assert.not.ok(existsSync(at('refused')));
});

test('before the first step a signal ends the process at once, and leaves nothing', async () => {
  const stopped = await trimap(directory, train('early'), { stopAt: 'compiling', signal: 'SIGTERM', delay: 100 });
  assert.is(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, 'stopped before the first step; nothing was begun\n');
  assert.not.ok(existsSync(at('early')));
});

test('a finished run takes more epochs', async () => {
  const more = await trimap(directory, ['resume', 'whole', '--epochs', '6']);
  assert.is(more.code, 0, more.stderr);
  assert.equal(
    history('whole').map(({ epoch }) => epoch),
    [1, 2, 3, 4, 5, 6],
  );
  assert.is(JSON.parse(readFileSync(at('whole', 'settings.json'), 'utf8')).epochs, 6);
});

test.run();
