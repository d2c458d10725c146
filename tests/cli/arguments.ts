import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tmpdir } from 'node:os';
import { closest } from '../../cli/arguments.js';
import { trimap } from '../helpers/cli.js';

const test = suite('cli/arguments');

/** Ends with exit code 2 and one line that contains every part. */
async function refused(args: string[], ...parts: string[]): Promise<void> {
  const { code, stderr } = await trimap(tmpdir(), args);
  assert.is(code, 2, stderr);
  assert.is(stderr.trim().split('\n').length, 1, stderr);
  for (const part of parts) assert.ok(stderr.includes(part), `"${part}" is not in: ${stderr}`);
}

test('unknown flags and commands are refused with what was probably meant', async () => {
  await refused(['train', '--epocs', '3'], 'epocs', 'did you mean --epochs?');
  await refused(['trian'], 'did you mean train?');
  await refused([], 'give a command');
  await refused(['train', 'extra'], 'extra');
  await refused(['train', '--net', 'resnet34unet'], 'did you mean resnet34-unet?', 'unet-bilinear');
});

test('values are checked; underscores and short names are accepted', async () => {
  await refused(['train', '--base_width', '5'], '--base-width 5', 'even');
  await refused(['train', '-e', '0'], '--epochs 0', 'whole number');
  await refused(['train', '--lr', 'fast'], '--learning-rate fast');
  await refused(['train', '--batch_size=2.5'], '--batch-size 2.5');
  await refused(['train', '--epochs', '1', '--epochs', '2'], 'given 2 times');
  await refused(['train', '--epochs'], '--epochs needs a value');
  await refused(['train', '--net', 'resnet34-unet', '--size', '16'], '--size 16', '32 or more');
});

test('commands say which weights they miss', async () => {
  await refused(['evaluate'], '--model runs/unet/best.safetensors');
  await refused(['predict', 'photo.jpg'], '--model runs/unet/best.safetensors');
});

test('--help and --version', async () => {
  const help = await trimap(tmpdir(), ['train', '--help']);
  assert.is(help.code, 0);
  for (const flag of ['--data-path', '--net', '-e', '-b', '--lr', '--model', '--seed', '--run']) {
    assert.ok(help.stdout.includes(flag), flag);
  }
  const version = await trimap(tmpdir(), ['--version']);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

test('the nearest name, unless none is near', () => {
  assert.is(closest('epocs', ['epochs', 'size']), 'epochs');
  assert.is(closest('zzzzzz', ['epochs', 'size']), undefined);
});

test.run();
