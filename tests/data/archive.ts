import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { unpack, type Unpacked } from '../../data/archive.js';
import { paxRecord, tar, tarGz, type TarEntry } from '../helpers/archive.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('data/archive');

/** Unpacks into `directory`/target. */
async function unpackBytes(directory: string, bytes: Uint8Array): Promise<Unpacked> {
  const archive = join(directory, 'archive.tar.gz');
  writeFileSync(archive, bytes);
  return unpack(archive, join(directory, 'target'));
}

/** Files below a directory with their contents. */
function contents(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    entries
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(directory.length + 1).replaceAll('\\', '/'), readFileSync(file, 'latin1')] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

test('files of any length, in folders that are listed or not', () =>
  inDirectory(async (directory) => {
    const lengths = [0, 1, 511, 512, 513, 100_000];
    const files = Object.fromEntries(lengths.map((length) => [`images/${length}.jpg`, 'x'.repeat(length)]));
    const entries: TarEntry[] = [
      { name: './', type: '5' },
      { name: 'images/', type: '5' },
      ...Object.entries(files).map(([name, content]) => ({ name, content })),
      { name: './annotations/trimaps/a.png', content: 'a' },
    ];
    const { files: count, leftOut } = await unpackBytes(directory, tarGz(entries));
    const expected = { ...files, 'annotations/trimaps/a.png': 'a' };
    const sorted = Object.fromEntries(Object.entries(expected).sort(([a], [b]) => (a < b ? -1 : 1)));
    assert.equal(contents(join(directory, 'target')), sorted);
    assert.is(count, lengths.length + 1);
    assert.equal(leftOut, []);
  }));

test('long names of POSIX, GNU and pax, and sizes of pax and GNU', () =>
  inDirectory(async (directory) => {
    const long = (letter: string) => `deep/${letter.repeat(90)}/${letter.repeat(90)}`;
    const binarySize = Buffer.alloc(12);
    binarySize[0] = 0x80;
    binarySize[11] = 3;
    const content = 'abc';
    await unpackBytes(
      directory,
      tarGz([
        { name: 'b'.repeat(90), prefix: `deep/${'b'.repeat(90)}`, content },
        { name: '././@LongLink', type: 'L', content: `${long('c')}\0`, magic: 'ustar  \0' },
        { name: long('c').slice(0, 100), content, magic: 'ustar  \0' },
        { name: 'PaxHeader/d', type: 'x', content: paxRecord('mtime', '1.5') + paxRecord('path', `${long('d')} ä=1`) },
        { name: 'short', content },
        { name: 'after', content },
        { name: 'PaxHeader/g', type: 'g', content: paxRecord('comment', 'none') },
        { name: 'PaxHeader/e', type: 'x', content: paxRecord('size', '3') },
        { name: 'e', content, size: '00000000000\0' },
        { name: 'f', content, size: binarySize },
        { name: 'seven', content, type: '\0', magic: '\0\0\0\0\0\0' },
      ]),
    );
    const names = [long('b'), long('c'), `${long('d')} ä=1`, 'after', 'e', 'f', 'seven'];
    const found = contents(join(directory, 'target'));
    assert.equal(Object.keys(found), [...names].sort());
    assert.ok(Object.values(found).every((text) => text === content));
  }));

test('names that lead out of the folder are refused', () =>
  inDirectory(async (directory) => {
    const names = ['../evil', 'a/../../evil', '/evil', 'a\\..\\..\\evil', 'C:/evil', 'C:evil', 'a/..'];
    for (const name of names) {
      const message = await dataError(() => unpackBytes(directory, tarGz([{ name, content: 'x' }])));
      assert.match(message, 'leads out of the folder');
      assert.match(message, name);
    }
    for (const entry of [
      [
        { name: 'x', type: 'x', content: paxRecord('path', '../evil') },
        { name: 'a', content: 'x' },
      ],
      [
        { name: 'x', type: 'L', content: '/evil\0' },
        { name: 'a', content: 'x' },
      ],
      [{ name: 'evil', prefix: '..', content: 'x' }],
      [{ name: '../evil/', type: '5' }],
    ]) {
      assert.match(await dataError(() => unpackBytes(directory, tarGz(entry))), 'leads out of the folder');
    }
    assert.not(existsSync(join(directory, 'evil')));
  }));

test('links are not made, so nothing can be written through them', () =>
  inDirectory(async (directory) => {
    const { leftOut, files } = await unpackBytes(
      directory,
      tarGz([
        { name: 'way', type: '2', linkName: '..' },
        { name: 'hard', type: '1', linkName: '../archive.tar.gz' },
        { name: 'pipe', type: '6' },
        { name: 'way/evil', content: 'x' },
      ]),
    );
    assert.equal(leftOut, ['way', 'hard', 'pipe']);
    assert.is(files, 1);
    assert.not(existsSync(join(directory, 'evil')));
    assert.equal(contents(join(directory, 'target')), { 'way/evil': 'x' });
  }));

test('damaged archives are said to be so', () =>
  inDirectory(async (directory) => {
    const good = tar([{ name: 'a', content: 'x'.repeat(2000) }]);
    const refused = async (bytes: Uint8Array, message: string) =>
      assert.match(await dataError(() => unpackBytes(directory, bytes)), message);
    await refused(gzipSync(good.subarray(0, 1500)), 'ends early');
    await refused(gzipSync(tar([{ name: 'a', content: 'x' }], 0)), 'ends early');
    await refused(gzipSync(good).subarray(0, 60), 'no sound gzip file');
    await refused(Buffer.from('<html>not found</html>'), 'no sound gzip file');
    await refused(gzipSync(Buffer.from('x'.repeat(1024))), 'a header has');
    await refused(tarGz([{ name: 'a', content: 'x', checksumError: 1 }]), 'wrong checksum');
    await refused(tarGz([{ name: 'a', content: 'x', size: '00000000008\0' }]), 'where a number stands');
    await refused(tarGz([{ name: 'a', content: 'x', size: Buffer.alloc(12, 0xff) }]), 'no size');
    await refused(
      tarGz([{ name: 'x', type: 'x', content: '99 path=a\n' }, { name: 'a' }]),
      'extended header is damaged',
    );
    await refused(tarGz([{ name: 'x', type: 'L', size: '77777777777\0' }]), 'an extended header claims');
  }));

test('a signal stops it', () =>
  inDirectory(async (directory) => {
    const archive = join(directory, 'archive.tar.gz');
    writeFileSync(archive, tarGz([1, 2, 3].map((i) => ({ name: `${i}`, content: 'x' }))));
    const abort = new AbortController();
    const options = { signal: abort.signal, onProgress: () => abort.abort(new Error('enough')) };
    try {
      await unpack(archive, join(directory, 'target'), options);
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, 'enough');
    }
    assert.equal(Object.keys(contents(join(directory, 'target'))), ['1']);
  }));

test.run();
