import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { download } from '../../cli/download.js';
import { Progress } from '../../cli/progress.js';
import { drawSample } from '../../data/sample.js';
import { tarGz } from '../helpers/archive.js';
import { trimap } from '../helpers/cli.js';
import { gif, inDirectory } from '../helpers/data.js';

const test = suite('cli/tools');

const sample = { count: 10, minSize: 24, maxSize: 40, seed: 3 };

test('stats: a table, or one JSON object', () =>
  inDirectory(async (directory) => {
    await drawSample(join(directory, 'pets'), sample);
    const { code, stdout, stderr } = await trimap(directory, ['stats', '--data-path', 'pets']);
    assert.equal([code, stderr], [0, '']);
    assert.match(stdout, /^mean +0\.\d{4} +0\.\d{4} +0\.\d{4}$/m);
    assert.match(stdout, /^masks: pet [\d.]+ %, background [\d.]+ %, border [\d.]+ %$/m);
    const asJson = await trimap(directory, ['stats', '--data-path', 'pets', '--json']);
    const found = JSON.parse(asJson.stdout) as { photos: number; mean: number[]; maskShares: Record<string, number> };
    assert.is(found.photos, 7);
    assert.match(stdout, new RegExp(`^mean +${found.mean.map((mean) => mean.toFixed(4)).join(' +')}$`, 'm'));
    assert.ok(Math.abs(Object.values(found.maskShares).reduce((sum, share) => sum + share) - 1) <= 1e-9);
  }));

test('check: exit code 0 when clean, 1 with the list of faults', () =>
  inDirectory(async (directory) => {
    const pets = join(directory, 'pets');
    await drawSample(pets, sample);
    const clean = await trimap(directory, ['check', '--data-path', 'pets', '--json']);
    assert.is(clean.code, 0, clean.stderr);
    const { notes, ...rest } = JSON.parse(clean.stdout) as { notes: { kind: string; reason: string }[] };
    assert.equal(rest, { path: pets, layout: 'oxford', files: 20, faults: [] });
    // Every second photo of the sample is a PNG under a .jpg name, which is worth a note and no fault.
    assert.is(notes.length, 5);
    assert.ok(notes.every(({ kind, reason }) => kind === 'type' && reason === 'is a PNG file by its first bytes'));
    const [photo] = readdirSync(join(pets, 'images'));
    writeFileSync(join(pets, 'images', photo), gif);
    const bad = await trimap(directory, ['check', '--data-path', 'pets']);
    assert.equal([bad.code, bad.stderr], [1, '']);
    assert.match(bad.stdout, `fault (unreadable): ${join('images', photo)} is a GIF file`);
    assert.match(bad.stdout, '1 fault, 20 files read');
  }));

test('what is missing or wrong on the command line, and what is no data set', () =>
  inDirectory(async (directory) => {
    const fails = async (args: string[], exitCode: number, message: string | RegExp) => {
      const { code, stderr } = await trimap(directory, args);
      assert.is(code, exitCode, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, message);
      assert.is(stderr.trim().includes('\n    at '), false);
    };
    await fails(['check'], 2, 'give the data set to check: --data-path DIR');
    await fails(['stats', '--data-path', '.'], 3, 'no layout that is known');
    await fails(['download', '--url', 'ftp://127.0.0.1/'], 2, '--url ftp://127.0.0.1/: give the http or https address');
    assert.equal(readdirSync(directory), []);
  }));

/** A server that answers a path with these bytes, or after the first `sent` of them with silence. */
async function serving<T>(
  content: (path: string) => Uint8Array | undefined,
  body: (url: string) => Promise<T>,
  sent?: number,
): Promise<T> {
  const server = createServer((request, response) => {
    const bytes = content(request.url!);
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-length': bytes.length });
    if (sent === undefined) response.end(bytes);
    else response.write(bytes.subarray(0, sent));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('download: a mirror that serves something else is refused by the checksum', () =>
  inDirectory(async (directory) => {
    const content = tarGz([{ name: 'annotations/test.txt', content: 'x' }]);
    const run = (url: string) => trimap(directory, ['download', '--url', url, '--output', 'pets']);
    const { code, stderr } = await serving(() => content, run);
    assert.is(code, 3);
    assert.match(stderr, 'annotations.tar.gz');
    assert.match(stderr, 'not 95a8c909bbe2e81eed6a22bccdf3f68f');
    assert.equal(readdirSync(join(directory, 'pets')), []);
    const none = await serving(() => undefined, run);
    assert.is(none.code, 3);
    assert.match(none.stderr, 'the server answers 404 Not Found');
  }));

test('download: Ctrl-C ends it and says how to go on', () =>
  inDirectory(async (directory) => {
    const run = (url: string) => trimap(directory, ['download', '--url', url, '--output', 'pets'], { stopAt: ' -> ' });
    const { code, stderr } = await serving(() => Buffer.alloc(5000), run, 100);
    assert.is(code, 130);
    assert.match(stderr, 'the same command goes on from there');
  }));

test('download: both archives, into a folder that can be used', () =>
  inDirectory(async (directory) => {
    const made = ['annotations', 'images'].map((folder) => {
      const bytes = tarGz([{ name: `${folder}/a`, content: folder }]);
      return { name: `${folder}.tar.gz`, folder, md5: createHash('md5').update(bytes).digest('hex'), bytes };
    });
    const output = join(directory, 'new', 'pets');
    const lines: string[] = [];
    const code = await serving(
      (path) => made.find(({ name }) => path === `/${name}`)?.bytes,
      (url) => download({ url, output }, made, new Progress({ write: (text: string) => lines.push(text) })),
    );
    assert.is(code, 0);
    assert.match(lines.join(''), `complete. Look it over with: trimap check --data-path ${output}`);
    assert.ok(existsSync(join(output, 'annotations', 'a')) && existsSync(join(output, 'images', 'a')));
  }));

test.run();
