/** One op, one place: whoever adds an op adds its test. */
import { existsSync, readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('ops');

test('every op has a test of its name', async () => {
  const ops = new URL('../../engine/ops/', import.meta.url);
  const without: string[] = [];
  for (const file of readdirSync(ops).filter((name) => name.endsWith('.js'))) {
    const module = (await import(new URL(file, ops).href)) as Record<string, unknown>;
    const records = Object.keys(module).some((name) => name.endsWith('Op'));
    if (records && !existsSync(new URL(file, import.meta.url))) without.push(file.replace(/\.js$/, ''));
  }
  assert.equal(without, []);
});

test.run();
