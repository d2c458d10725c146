// Tuned runs: choices are kept, taken over by what goes on with a run or repeats it, and give the same bits.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Progress } from '../../cli/progress.js';
import { trainingSettings } from '../../cli/settings.js';
import { resolveSettings } from '../../cli/trainFlags.js';
import { asTrained, chooseForms, keptAt, type KernelFile, readKernels } from '../../cli/tuning.js';
import { drawSample } from '../../data/sample.js';
import { questionsOf } from '../../engine/tune.js';
import { callsOf } from '../../nets/calls.js';
import { trimap } from '../helpers/cli.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
const at = (...parts: string[]) => join(directory, ...parts);
const test = suite('cli/tuning');
test.after(() => rmSync(directory, { recursive: true, force: true }));

const MEASURED = 2;
const kept = at(keptAt(device));
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as KernelFile;

// 10 photos for training, 2 for validation, 2 for the test.
await drawSample(at('photos'), { count: 14, minSize: 32, maxSize: 48, seed: 3 });
const settings = resolveSettings({ size: 32, baseWidth: 2, batchSize: 4 });
const model = trainingSettings(settings, 1);
const nodes = callsOf(device, model, { ...model, batch: 2 });
const questions = questionsOf(device, nodes);
/** All but the first works are known, and of none is the rule's favourite chosen. */
const forced = Object.fromEntries(questions.slice(MEASURED).map(({ work, forms }) => [work, forms[forms.length - 1]]));
const file = (more: object) => JSON.stringify({ version: 1, adapter: device.description, choices: forced, ...more });
mkdirSync(dirname(kept), { recursive: true });
writeFileSync(kept, file({ choices: { ...forced, [questions[0].work]: 'conv2dOld LANES=8', another: 'run' } }));

const TRAIN = ['train', '--data-path', 'photos', '--size', '32', '--base-width', '2', '-b', '4'];
const tuned = await trimap(directory, [...TRAIN, '-e', '2', '--tune', '--run', 'tuned']);

test('what is missing is measured and kept, and the run has the choices that it uses', () => {
  assert.is(tuned.code, 0, tuned.stderr);
  assert.match(tuned.stdout, / 1 choices of .* are of forms that there are no longer \(conv2dOld LANES=8, \.\.\.\)\n/);
  assert.match(tuned.stdout, `kernels: measuring the forms of ${MEASURED} works`);
  assert.match(tuned.stdout, new RegExp(`: choices for ${questions.length} of ${questions.length} works, `));
  const { version, adapter, choices } = read(at('tuned', 'kernels.json'));
  assert.equal([version, adapter], [1, device.description]);
  assert.equal(Object.keys(choices).sort(), questions.map(({ work }) => work).sort());
  for (const { work, forms } of questions.slice(0, MEASURED)) assert.ok(forms.includes(choices[work]), work);
  for (const [work, form] of Object.entries(forced)) assert.is(choices[work], form);
  assert.equal(read(kept).choices, { ...choices, another: 'run' });
});

test('a second run with the same saved choices, stopped and resumed with its own, ends with the same bits', async () => {
  const first = await trimap(directory, [...TRAIN, '-e', '1', '--tune', '--run', 'again']);
  assert.is(first.code, 0, first.stderr);
  assert.not.match(first.stdout, 'measuring the forms');
  // What is kept for the adapter has changed since.
  writeFileSync(kept, file({ choices: {} }));
  const second = await trimap(directory, ['resume', 'again', '-e', '2']);
  assert.is(second.code, 0, second.stderr);
  assert.match(second.stdout, new RegExp(`again/kernels.json: choices for ${questions.length} of`));
  for (const name of ['last.safetensors', 'test.json', 'kernels.json', 'settings.json']) {
    assert.is(Buffer.compare(readFileSync(at('tuned', name)), readFileSync(at('again', name))), 0, name);
  }
});

test('evaluate has the choices of the run, and its scores', async () => {
  const { code, stdout, stderr } = await trimap(directory, ['evaluate', '--model', 'tuned/best.safetensors', '--json']);
  assert.is(code, 0, stderr);
  const { loss, dice } = JSON.parse(stdout);
  const { validation } = JSON.parse(readFileSync(at('tuned', 'best.json'), 'utf8'));
  assert.equal([loss, dice], [validation.loss, validation.dice]);
});

test('compare predicts with the choices of each run', async () => {
  const other = await trimap(directory, [...TRAIN, '-e', '1', '--seed', '7', '--run', 'other']);
  assert.is(other.code, 0, other.stderr);
  const { code, stdout, stderr } = await trimap(directory, ['compare', 'tuned', 'other']);
  assert.is(code, 0, stderr);
  assert.not.match(stdout, 'kernels:');
  renameSync(at('tuned', 'kernels.json'), at('elsewhere.json'));
  const without = await trimap(directory, ['compare', 'tuned', 'other']);
  renameSync(at('elsewhere.json'), at('tuned', 'kernels.json'));
  assert.is(without.code, 0, without.stderr);
  assert.match(without.stdout, 'kernels: the run was tuned, but tuned/kernels.json is not there; the rule chooses');
});

test("a run's settings name the choices beside them, wherever they lie", () => {
  mkdirSync(at('moved'));
  writeFileSync(at('moved', 'settings.json'), readFileSync(at('tuned', 'settings.json')));
  assert.is(resolveSettings({ config: at('moved', 'settings.json') }).tune, at('moved', 'kernels.json'));
  assert.is(resolveSettings({ config: at('moved', 'settings.json'), tune: at('x.json') }).tune, at('x.json'));
  assert.is(resolveSettings({ config: at('moved', 'settings.json'), tune: true }).tune, true);
  assert.is(resolveSettings({}).tune, null);
});

/** What is said meanwhile. */
async function saying(work: (progress: Progress) => unknown): Promise<string> {
  let said = '';
  await work(new Progress({ write: (text) => (said += text) }));
  return said;
}

test('choices of another adapter, forms that are gone, and choices that are not there are said', async () => {
  const path = at('file.json');
  writeFileSync(path, file({ adapter: 'another' }));
  const foreign = await saying(async (progress) => {
    const { device: same, kernels } = await chooseForms(device, nodes, path, progress);
    assert.equal([same.traits.choose, kernels], [undefined, undefined]);
  });
  assert.is(foreign, `kernels: ${path} is of another; here the rule chooses\n`);
  const [gone] = Object.keys(forced);
  writeFileSync(path, file({ choices: { ...forced, [gone]: 'conv2dOld' } }));
  const old = await saying(async (progress) => {
    const { device: own } = await chooseForms(device, nodes, path, progress);
    for (let i = 0; i < 2; i++) assert.is(own.traits.choose!(gone, ['a', 'b']), undefined);
  });
  assert.match(old, `choices for ${questions.length - MEASURED - 1} of ${questions.length} works`);
  assert.is(old.split(`${path} has forms that there are no longer (conv2dOld for ${gone}, ...)`).length, 2);
  const run = { ...settings, tune: 'kernels.json' };
  const missing = await saying((progress) => asTrained(device, run, at('moved', 'best.safetensors'), progress));
  assert.match(missing, `the run was tuned, but ${at('moved', 'kernels.json')} is not there; the rule chooses`);
});

test('a file that holds no choices is named', async () => {
  for (const [text, message] of [
    ['{', 'is not JSON'],
    ['null', 'is no file of kernel choices of version 1'],
    [file({ version: 2 }), 'is no file of kernel choices of version 1'],
    [file({ choices: { work: 3 } }), 'has no adapter, or no choices by work'],
  ]) {
    writeFileSync(at('bad.json'), text);
    assert.throws(() => readKernels(at('bad.json')), message);
  }
  const { code, stderr } = await trimap(directory, [...TRAIN, '--tune', 'nowhere.json']);
  assert.is(code, 3, stderr);
  assert.match(stderr, /error: .*nowhere\.json does not exist; it is a tuned run's kernels\.json, or a copy of one\n/);
});

test.run();
