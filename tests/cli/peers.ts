// `bench peers` with an engine made up here, which is right, wrong or dead as the case asks; no figure is judged.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { EngineProcess } from '../../bench/peers/processes.js';
import { amountOf, nameOfWork, peerWorks, shapeOfWork } from '../../bench/peers/works.js';
import type { Row } from '../../bench/rows.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';
import { testDevice } from '../helpers/device.js';

const halves = (await testDevice()).gpu.features.has('shader-f16');
const test = suite('cli/peers');

/** Writes an interpreter that speaks the protocol; its result is x, which no convolution of the list gives. */
function fakePython(directory: string): string {
  const path = join(directory, 'fake');
  const source = `#!${process.execPath}
    const { copyFileSync, readFileSync, writeFileSync } = require('node:fs');
    const answer = (value) => console.log(JSON.stringify(value));
    console.log('a driver prints this');
    answer({ name: 'fake', adapter: 'none', modes: [{ name: '', tolerance: 1e-3 }, { name: 'other', tolerance: 1, sameJob: true }] });
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const request = JSON.parse(line);
      if (request.do === 'time') return answer({ ms: 1 });
      if (request.do !== 'prepare') return answer({});
      if (request.work.pass === 'filter gradient') return answer({ error: 'it has none' });
      const file = readFileSync(request.inputs);
      const start = 8 + Number(file.readBigUInt64LE(0));
      const { x } = JSON.parse(file.subarray(8, start).toString());
      const data = file.subarray(start + x.data_offsets[0], start + x.data_offsets[1]);
      const header = Buffer.from(JSON.stringify({ result: { dtype: 'F32', shape: [data.length / 4], data_offsets: [0, data.length] } }));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(header.length));
      writeFileSync(request.result, Buffer.concat([length, header, data]));
      answer({ note: 'copied' });
    });
  `;
  writeFileSync(path, source);
  chmodSync(path, 0o755);
  return path;
}

test('works: names, shapes and amounts', () => {
  const works = peerWorks({ size: 128, baseWidth: 16, batch: 4 });
  assert.is(shapeOfWork(works[0]), 'N2 64->64 64x64 k3 s1 p1');
  assert.equal(amountOf(works[0]), { amount: (2 * 2 * 64 * 64 * 9 * 64 * 64) / 1e9, unit: 'GFLOP/s' });
  const names = works.map((work) => `${nameOfWork(work)} ${shapeOfWork(work)}`);
  assert.is(new Set(names).size, works.length);
  assert.ok(names.includes('convTranspose2d forward N4 128->256 8x8 k2 s2 p0'));
  assert.ok(names.includes('conv2d filter gradient N4 3->16 64x64 k7 s2 p3'));
  assert.not.ok(names.includes('conv2d input gradient N4 3->16 64x64 k7 s2 p3'));
  assert.ok(names.includes('train resnet34-unet width 16 128x128 batch 4'));
  assert.equal(amountOf(works.at(-1)!), { amount: 4, unit: 'images/s' });
});

test('wrong values are marked, what an engine cannot is said', () =>
  inDirectory(async (directory) => {
    const sizes = ['--size', '32', '--base-width', '2', '--batch-size', '1', '--rounds', '1'];
    const args = [
      'bench',
      'peers',
      ...sizes,
      '--filter',
      'N1 2->2 32x32',
      '--only',
      'pytorch',
      '--python',
      fakePython(directory),
      ...(halves ? ['--precision', 'f16'] : []),
      '--json',
    ];
    const { code, stdout, stderr } = await trimap(directory, args);
    assert.is(code, 0, stderr);
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Row);
    const own = rows.filter(({ variant }) => variant === 'trimap');
    assert.equal(
      own.map(({ work }) => work),
      ['conv2d forward', 'conv2d input gradient', 'conv2d filter gradient'],
    );
    assert.ok(own.every(({ ratio, wrong, value }) => ratio === 1 && wrong === false && value > 0));
    const half = rows.filter(({ variant }) => variant === 'trimap, f16');
    assert.is(half.length, halves ? 3 : 0);
    for (const { wrong, error, note } of half) {
      assert.is(wrong, false);
      assert.ok((error as number) > 0, 'it was f32 again');
      assert.match(note as string, / convolutions$/);
    }
    const fake = rows.filter(({ variant }) => variant.startsWith('fake'));
    assert.ok(
      isDeepStrictEqual(
        fake.map(({ variant }) => variant),
        ['fake', 'fake, other', 'fake', 'fake, other'],
      ),
    );
    for (const row of fake) {
      assert.is(row.wrong, true);
      assert.ok((row.error as number) > 0.1);
      assert.is(row.note, 'WRONG VALUES; copied');
      assert.is(row.adapter, 'none');
    }
    assert.match(stderr, 'conv2d filter gradient N1 2->2 32x32 k3 s1 p1: fake cannot: it has none');
  }));

test('an engine that is not there, or dies, says why', async () => {
  const dead = ['-e', 'console.error("no module of that name"); process.exit(1)'];
  for (const [command, args, message] of [
    ['no-such-interpreter', [], /ENOENT/],
    [process.execPath, dead, /has ended: no module of that name/],
  ] as const) {
    let error: Error | undefined;
    await EngineProcess.start(command, args).catch((thrown: Error) => (error = thrown));
    assert.match(error?.message ?? 'no error', message);
  }
});

test.run();
