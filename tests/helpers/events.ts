/** An independent reader of TensorBoard's event files: protobufjs, and a checksum computed from its definition. */
import * as assert from 'uvu/assert';
import protobuf from 'protobufjs';

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

export interface ReadImage {
  height: number;
  width: number;
  colorspace: number;
  encodedImageString: Uint8Array;
}

export interface ReadEvent {
  wallTime: number;
  /** Left out where it is 0. */
  step?: number;
  fileVersion?: string;
  sessionLog?: { status: string };
  summary?: { value: { tag: string; simpleValue?: number; image?: ReadImage }[] };
}

/** CRC-32C bit by bit, from the definition: the message, and 32 zeros, divided by the polynomial. */
export function slowCrc32c(bytes: Uint8Array): number {
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
export function readEvents(file: Buffer): ReadEvent[] {
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
