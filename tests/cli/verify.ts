import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CaseResult } from '../../cli/verify.js';
import type { GoldenCase } from '../../cli/verify/golden.js';
import { readSafetensors, writeSafetensors } from '../../data/safetensors.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';
import { goldenDirectory } from '../helpers/golden.js';

const test = suite('cli/verify');

const packaged = (JSON.parse(readFileSync(join(goldenDirectory, 'index.json'), 'utf8')) as { cases: GoldenCase[] })
  .cases;
const find = (name: string): GoldenCase => ({ ...packaged.find((one) => one.name === name)! });

test('cases of every kind pass, whatever they are called', () =>
  inDirectory(async (directory) => {
    const cases = ['relu-2x3x7x9', 'optim-radam', 'image-resize-pil-20x90'].map(find);
    for (const [i, golden] of cases.entries()) {
      copyFileSync(join(goldenDirectory, golden.file), join(directory, `${i}.bin`));
      Object.assign(golden, { name: `renamed ${i}`, file: `${i}.bin` });
    }
    writeFileSync(join(directory, 'index.json'), JSON.stringify({ cases }));
    const { code, stdout, stderr } = await trimap(directory, ['verify', '--golden', directory]);
    assert.is(code, 0, stdout + stderr);
    for (const kind of ['op', 'optimizer', 'image'])
      assert.match(stdout, new RegExp(`^${kind}: 1 of 1 passed, worst renamed`, 'm'));
  }));

test('--all-variants: the cases once for each, and one variant that fails fails all', () =>
  inDirectory(async (directory) => {
    const chosen = packaged.filter(({ name }) => name === 'conv2d-k3s1p1-n2c3o5-13x11-bias');
    assert.is(chosen.length, 1);
    copyFileSync(join(goldenDirectory, chosen[0].file), join(directory, chosen[0].file));
    writeFileSync(join(directory, 'index.json'), JSON.stringify({ cases: chosen }));
    const { code, stdout, stderr } = await trimap(directory, [
      'verify',
      '--golden',
      directory,
      '--all-variants',
      '--json',
    ]);
    assert.is(code, 0, stdout + stderr);
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as CaseResult);
    const variants = results.map(({ variant }) => variant);
    assert.is(new Set(variants).size, results.length);
    for (const name of ['plain convolutions', 'tiled convolutions', 'nothing fused'])
      assert.ok(variants.includes(name));
    assert.ok(variants.some((name) => /^form 2 of /.test(name!)));
    assert.ok(results.every(({ pass }) => pass));
  }));

test('what cannot be judged, or is wrong, fails by name; the rest is still judged', () =>
  inDirectory(async (directory) => {
    const cases: unknown[] = [];
    /** Adds the case under another name; `change` may damage its entry or its file. */
    const add = (name: string, change: (golden: GoldenCase, path: string) => void) => {
      const golden = { ...find('sigmoid-2x3x7x9'), name, file: `${name}.safetensors` };
      const path = join(directory, golden.file);
      copyFileSync(join(goldenDirectory, 'sigmoid-2x3x7x9.safetensors'), path);
      change(golden, path);
      cases.push(golden);
    };
    const reference = (path: string, value: number) => {
      const { tensors } = readSafetensors(path);
      tensors.get('out.y')!.data[5] = value;
      writeSafetensors(path, tensors);
    };
    add('good', () => {});
    add('unknown-op', (golden) => Object.assign(golden, { op: 'teleport' }));
    add('unknown-kind', (golden) => Object.assign(golden, { kind: 'dream' }));
    add('not-a-number', (_, path) => reference(path, NaN));
    add('far-off', (_, path) => reference(path, 1e3));
    add('cut-off', (_, path) => writeFileSync(path, readFileSync(path).subarray(0, 300)));
    add('no-file', (golden) => Object.assign(golden, { file: 'none.safetensors' }));
    cases.push(null, { name: 'no-tolerance', kind: 'op', op: 'relu', file: 'good.safetensors' });
    writeFileSync(join(directory, 'index.json'), JSON.stringify({ cases }));

    const { code, stdout } = await trimap(directory, ['verify', '--golden', directory, '--json']);
    assert.is(code, 1);
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as CaseResult);
    const keys = ['name', 'kind', 'op', 'pass', 'worst', 'tensor', 'error'];
    for (const result of results) assert.equal(Object.keys(result), keys);
    assert.equal(
      results.filter(({ pass }) => pass).map(({ name }) => name),
      ['good'],
    );
    const named = new Map(results.map((result) => [result.name, result]));
    assert.is(named.size, cases.length);
    assert.match(named.get('unknown-op')!.error!, 'teleport');
    assert.match(named.get('unknown-kind')!.error!, 'dream');
    assert.is(named.get('not-a-number')!.worst, null);
    assert.is(named.get('not-a-number')!.tensor, 'out.y');
    assert.ok(named.get('far-off')!.worst! > 1);
    assert.match(named.get('cut-off')!.error!, 'cut off');
    assert.match(named.get('no-tolerance')!.error!, 'tolerance');
  }));

test('a form that is not offered is said to be so, and is no failure', () =>
  inDirectory(async (directory) => {
    const offered = find('image-gamma-float-0_8');
    const other = { ...offered, name: 'gamma of a table', options: { ...offered.options, library: 'table' } };
    copyFileSync(join(goldenDirectory, offered.file), join(directory, offered.file));
    writeFileSync(join(directory, 'index.json'), JSON.stringify({ cases: [offered, other] }));
    const { code, stdout } = await trimap(directory, ['verify', '--golden', directory]);
    assert.is(code, 0, stdout);
    assert.match(stdout, /^image: 1 of 1 passed, worst image-gamma-float-0_8 \(.*\), 1 not offered$/m);
    assert.match(stdout, /^image gamma of a table is not offered: gamma of the form table; ours is torch$/m);
    const json = await trimap(directory, ['verify', '--golden', directory, '--json']);
    assert.is(json.code, 0);
    assert.equal(
      json.stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as CaseResult).pass),
      [true, null],
    );
  }));

test('a directory without an index is bad data', () =>
  inDirectory(async (directory) => {
    const { code, stderr } = await trimap(directory, ['verify', '--golden', directory]);
    assert.is(code, 3);
    assert.match(stderr, 'index.json does not exist');
  }));

test.run();
