import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../data/files.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('data/files');

test('a file is replaced as a whole, and its folder made', () =>
  inDirectory((directory) => {
    const path = join(directory, 'a', 'b.txt');
    writeFileAtomic(path, 'long before');
    writeFileAtomic(path, 'now', Uint8Array.of(33));
    assert.is(readFileSync(path, 'utf8'), 'now!');
    assert.equal(readdirSync(join(directory, 'a')), ['b.txt']);
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
