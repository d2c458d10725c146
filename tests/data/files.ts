import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { removeAbandoned, removeAbandonedBelow, writeFileAtomic } from '../../data/files.js';
import { dataError, inDirectory, writeFiles } from '../helpers/data.js';

const test = suite('data/files');

test('a file is replaced as a whole, and its folder made', () =>
  inDirectory((directory) => {
    const path = join(directory, 'a', 'b.txt');
    writeFileAtomic(path, 'long before');
    writeFileAtomic(path, 'now', Uint8Array.of(33));
    assert.is(readFileSync(path, 'utf8'), 'now!');
    assert.equal(readdirSync(join(directory, 'a')), ['b.txt']);
  }));

test('what killed writers left is removed, of one file or of all below a folder; what others write stays', () =>
  inDirectory((directory) => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    const left = (path: string, by: number) => `${path}.${by}-0123abcd@${hostname()}.partial`;
    const names = [left('a', pid), left('ab', pid), left(join('c', 'd'), pid), left(join('c', 'd'), process.pid), 'a'];
    writeFiles(directory, Object.fromEntries(names.map((name) => [name, ''])));
    removeAbandoned(join(directory, 'a'));
    assert.equal(
      names.map((name) => existsSync(join(directory, name))),
      [false, true, true, true, true],
    );
    removeAbandonedBelow(directory);
    assert.equal(
      names.map((name) => existsSync(join(directory, name))),
      [false, false, false, true, true],
    );
  }));

test('what cannot be written is named, and nothing is left behind', () =>
  inDirectory(async (directory) => {
    writeFileSync(join(directory, 'file'), '');
    const below = join(directory, 'file', 'x.txt');
    assert.match(await dataError(() => writeFileAtomic(below, '')), `${below} cannot be written (`);
    const folder = join(directory, 'folder');
    mkdirSync(join(folder, 'full'), { recursive: true });
    assert.match(await dataError(() => writeFileAtomic(folder, 'x')), `${folder} cannot be written (`);
    assert.equal(readdirSync(directory).sort(), ['file', 'folder']);
  }));

test.run();
