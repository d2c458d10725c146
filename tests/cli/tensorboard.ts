// The event files, read back by protobufjs with TensorBoard's own messages and by a checksum of another form.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { crc32c, maskedCrc32c } from '../../cli/tensorboard/crc32c.js';
import { EventFile, frame } from '../../cli/tensorboard/eventFile.js';
import type { RunStart } from '../../cli/observers.js';
import { RunFolder } from '../../cli/runFolder.js';
import { tensorBoard } from '../../cli/tensorboard/observer.js';
import { encodeGreyPng } from '../../data/png.js';
import { Random } from '../../engine/random.js';
import { inDirectory } from '../helpers/data.js';
import { readEvents, slowCrc32c } from '../helpers/events.js';

const test = suite('cli/tensorboard');

test('CRC-32C: the vectors of RFC 3720, and the definition', () => {
  assert.is(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.is(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assert.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  const random = new Random('crc');
  for (const length of [0, 1, 7, 8, 255, 1031]) {
    const bytes = Uint8Array.from({ length }, () => random.integer(256));
    assert.is(crc32c(bytes), slowCrc32c(bytes), `${length} bytes`);
  }
});

test('a record as TensorFlow frames it', () => {
  // The first record of every file of TensorBoard's, but for its time: 24 bytes and the checksum of that length.
  const record = Buffer.from(frame(new Uint8Array(24)));
  assert.is(record.subarray(0, 12).toString('hex'), '1800000000000000a37f4b22');
  assert.is(record.length, 12 + 24 + 4);
  assert.is(record.readUInt32LE(36), maskedCrc32c(new Uint8Array(24)));
});

test('scalars and pictures are read back, step by step', () =>
  inDirectory((directory) => {
    const before = Date.now() / 1000;
    const events = EventFile.create(directory);
    const png = encodeGreyPng(Uint8Array.of(0, 128, 255, 7, 8, 9), 2, 3);
    events.add(1, { scalars: { 'loss/train': 0.5, 'dice/Größe': -1e-30 } });
    events.add(2 ** 33 + 5, {
      scalars: { 'loss/train': Infinity },
      images: { 'photo 1/prediction': { height: 2, width: 3, colorspace: 1, png } },
    });
    events.close();
    assert.throws(() => events.add(3, {}), 'is closed');
    const names = readdirSync(directory);
    assert.is(names.length, 1);
    assert.match(names[0], /^events\.out\.tfevents\.\d{10}\./);
    const [version, first, second, ...others] = readEvents(readFileSync(events.path));
    assert.equal(others, []);
    assert.equal([version.fileVersion, version.step ?? 0], ['brain.Event:2', 0]);
    assert.is(version.sessionLog, undefined);
    for (const { wallTime } of [version, first, second]) assert.ok(wallTime >= before && wallTime <= Date.now() / 1000);
    assert.equal(first.summary, {
      value: [
        { tag: 'loss/train', simpleValue: 0.5 },
        { tag: 'dice/Größe', simpleValue: Math.fround(-1e-30) },
      ],
    });
    assert.is(second.step, 2 ** 33 + 5);
    const [loss, picture] = second.summary!.value;
    assert.is(loss.simpleValue, Infinity);
    assert.is(picture.tag, 'photo 1/prediction');
    const { height, width, colorspace, encodedImageString } = picture.image!;
    assert.equal([height, width, colorspace], [2, 3, 1]);
    assert.is(PNG.sync.read(Buffer.from(encodedImageString)).data[4], 128);
  }));

test('a run that goes on says from which step', () =>
  inDirectory((directory) => {
    const events = EventFile.create(directory, 7);
    events.close();
    const [, restart] = readEvents(readFileSync(events.path));
    assert.equal([restart.step, restart.sessionLog], [7, { status: 'START' }]);
  }));

test('a run that is resumed within an epoch forgets the steps that it does again, and no others', () =>
  inDirectory((directory) => {
    const observer = tensorBoard();
    const run = { folder: RunFolder.at(directory) } as RunStart;
    const event = { epoch: 2, batch: 1, loss: 0.5, dice: 0.5, learningRate: 0.1, gradientNorm: 1 };
    for (const step of [12, 13]) observer.step!(run, { ...event, step });
    void observer.stopped!(run);
    const [name] = readdirSync(directory);
    const [, restart, first, second] = readEvents(readFileSync(join(directory, name)));
    assert.equal([restart.step, restart.sessionLog, first.step, second.step], [12, { status: 'START' }, 12, 13]);
  }));

test.run();
