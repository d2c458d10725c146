// Training with f16 from the command line: saved with the run, shown, resumed with its loss scale, evaluated in either type.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCheckpoint } from '../../cli/checkpoint.js';
import type { EpochRecord } from '../../cli/runFolder.js';
import { drawSample } from '../../data/sample.js';
import { trimap } from '../helpers/cli.js';

const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
const test = suite('cli/precision');
test.after(() => rmSync(directory, { recursive: true, force: true }));

await drawSample(join(directory, 'photos'), { count: 14, minSize: 32, maxSize: 48, seed: 3 });
const TRAIN = ['train', '--data-path', 'photos', '--size', '32', '--base-width', '2', '-b', '4', '--precision', 'f16'];
const last = (run: string) => readCheckpoint(join(directory, run, 'last.safetensors'));

test('a run with f16 that goes on is the run that was never stopped', async () => {
  const whole = await trimap(directory, [...TRAIN, '-e', '2', '--run', 'whole']);
  assert.is(whole.code, 0, whole.stderr);
  assert.match(whole.stdout, /^epoch .* scale +skipped$/m);
  assert.match(whole.stdout, /^ *2\/2 .* % +\d+ +\d+$/m);
  const first = await trimap(directory, [...TRAIN, '-e', '1', '--run', 'parts']);
  assert.is(first.code, 0, first.stderr);
  const second = await trimap(directory, ['resume', 'parts', '-e', '2']);
  assert.is(second.code, 0, second.stderr);

  const [one, two] = [last('whole'), last('parts')];
  assert.equal(two.weights, one.weights);
  assert.equal(two.optimizer, one.optimizer);
  assert.is(one.info!.settings.precision, 'f16');
  assert.is(one.info!.state.lossScale!.goodSteps + one.info!.state.lossScale!.skippedSteps, one.info!.state.step);
  assert.equal(two.info!.state.lossScale, one.info!.state.lossScale);
  const lines = readFileSync(join(directory, 'parts', 'history.jsonl'), 'utf8')
    .trim()
    .split('\n');
  const { loss_scale, skipped_steps } = JSON.parse(lines[1]) as EpochRecord;
  assert.equal([loss_scale, skipped_steps], [one.info!.state.lossScale!.scale, 0]);

  // With the weights of the first epoch, the best, logits are so small that rounding them may show in no digit of the loss.
  const model = join('whole', 'last.safetensors');
  const scores = [];
  for (const precision of [[], ['--precision', 'f32']]) {
    const { code, stdout, stderr } = await trimap(directory, ['evaluate', '--model', model, '--json', ...precision]);
    assert.is(code, 0, stderr);
    scores.push(JSON.parse(stdout));
  }
  assert.not.equal(scores[1].loss, scores[0].loss);
  assert.ok(Math.abs(scores[1].loss - scores[0].loss) <= 0.01, `${scores[1].loss} and ${scores[0].loss}`);
});

test.run();
