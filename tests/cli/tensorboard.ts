// The event files, read back by protobufjs with TensorBoard's own messages and by a checksum of another form.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readdirSync, readFileSync } from 'node:fs';
import { PNG } from 'pngjs';
import protobuf from 'protobufjs';
import { crc32c, maskedCrc32c } from '../../cli/tensorboard/crc32c.js';
import { EventFile, frame } from '../../cli/tensorboard/eventFile.js';
import { encodeGreyPng } from '../../data/png.js';
import { Random } from '../../engine/random.js';
import { inDirectory } from '../helpers/data.js';

const test = suite('cli/tensorboard');

/** tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto, what we write of them. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Event {
    double wall_time = 1;
    int64 step = 2;
    oneof what {
      string file_version = 3;
      bytes graph_def = 4;
      Summary summary = 5;
      SessionLog session_log = 7;
    }
  }
  message SessionLog {
    enum SessionStatus { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; CHECKPOINT = 3; }
    SessionStatus status = 1;
  }
  message Summary {
    message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
    message Value {
      string tag = 1;
      oneof value { float simple_value = 2; Image image = 4; }
    }
    repeated Value value = 1;
  }
`);
const Event = root.lookupType('Event');

interface ReadImage {
  height: number;
  width: number;
  colorspace: number;
  encodedImageString: Uint8Array;
}

interface ReadEvent {
  wallTime: number;
  /** Left out where it is 0. */
  step?: number;
  fileVersion?: string;
  sessionLog?: { status: string };
  summary?: { value: { tag: string; simpleValue?: number; image?: ReadImage }[] };
}

/** CRC-32C bit by bit, from the definition: the message, and 32 zeros, divided by the polynomial. */
function slowCrc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const out = (remainder >>> 31) ^ ((byte >>> bit) & 1);
      remainder = ((remainder << 1) ^ (out ? 0x1edc6f41 : 0)) >>> 0;
    }
  }
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed |= ((remainder >>> bit) & 1) << (31 - bit);
  return ~reversed >>> 0;
}

/** The messages of a file; throws at the first record whose length or checksums are wrong. */
function readEvents(file: Buffer): ReadEvent[] {
  const events: ReadEvent[] = [];
  const unmask = (masked: number) => {
    const rotated = (masked - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    assert.is(unmask(file.readUInt32LE(at + 8)), slowCrc32c(file.subarray(at, at + 8)), `length at ${at}`);
    const message = file.subarray(at + 12, at + 12 + length);
    assert.is(unmask(file.readUInt32LE(at + 12 + length)), slowCrc32c(message), `message at ${at}`);
    events.push(Event.toObject(Event.decode(message), { longs: Number, enums: String }) as ReadEvent);
    at += 16 + length;
  }
  return events;
}

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

test.run();
