/** One op, one place: whoever adds an op adds its test. */
import { existsSync, readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('ops');

/** Ops whose behaviour only shows together with others'. */
const TESTED_IN: Record<string, string> = {
  adam: '../engine/optimizers.js',
  convolution: 'conv2d.js',
  lossScale: '../engine/lossScale.js',
  sgd: '../engine/optimizers.js',
};

test('every op has a test of its name, or one that is named here', async () => {
  const ops = new URL('../../engine/ops/', import.meta.url);
  const without: string[] = [];
  for (const file of readdirSync(ops).filter((name) => name.endsWith('.js'))) {
    const module = (await import(new URL(file, ops).href)) as Record<string, unknown>;
    const records = Object.keys(module).some((name) => name.endsWith('Op'));
    const name = file.replace(/\.js$/, '');
    if (records && !existsSync(new URL(TESTED_IN[name] ?? file, import.meta.url))) without.push(name);
  }
  assert.equal(without, []);
});

test.run();
