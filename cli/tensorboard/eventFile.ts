/**
 * TensorBoard's event files: records of a protobuf message `Event`, each framed by its length and two checksums.
 *
 *     uint64 length | uint32 masked CRC-32C of the length | message | uint32 masked CRC-32C of the message
 *
 * all little-endian. Framing: tensorflow/core/lib/io/record_writer.h; messages: tensorflow/core/util/event.proto and
 * tensorflow/core/framework/summary.proto.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { maskedCrc32c } from './crc32c.js';

/** A PNG picture. */
export interface PngImage {
  height: number;
  width: number;
  /** 1: grey, 3: RGB. */
  colorspace: 1 | 3;
  png: Uint8Array;
}

export interface Summary {
  scalars?: Readonly<Record<string, number>>;
  images?: Readonly<Record<string, PngImage>>;
}

export class EventFile {
  private constructor(
    readonly path: string,
    private file: number | undefined,
  ) {}

  /**
   * A new file in `folder`, under a name by which TensorBoard finds it and reads it after the earlier ones.
   * @param restartedAt the first step that is still to come, where a stopped run goes on: TensorBoard then forgets what
   *   earlier files say of later steps
   */
  static create(folder: string, restartedAt?: number): EventFile {
    const now = Date.now();
    const seconds = String(Math.floor(now / 1000)).padStart(10, '0');
    const path = join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${now % 1000}`);
    const events = new EventFile(path, openSync(path, 'ax'));
    events.write(0, text(3, 'brain.Event:2'));
    // SessionLog { status: START }
    if (restartedAt !== undefined) events.write(restartedAt, message(7, wholeNumber(1, 1)));
    return events;
  }

  /**
   * Values of one step, by tag; TensorBoard groups tags by what stands before a slash. On the disk when this returns: a
   * reader follows the file while it grows, and a killed process leaves all records but perhaps its last.
   */
  add(step: number, { scalars = {}, images = {} }: Summary): void {
    const values = [
      ...Object.entries(scalars).map(([tag, value]) => message(1, text(1, tag), float(2, value))),
      ...Object.entries(images).map(([tag, { height, width, colorspace, png }]) => {
        const size = [wholeNumber(1, height), wholeNumber(2, width), wholeNumber(3, colorspace)];
        return message(1, text(1, tag), message(4, ...size, bytes(4, png)));
      }),
    ];
    this.write(step, message(5, ...values));
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }

  /** @param what one field of `Event` */
  private write(step: number, what: Uint8Array): void {
    if (this.file === undefined) throw new Error(`${this.path} is closed`);
    const record = frame(Buffer.concat([double(1, Date.now() / 1000), wholeNumber(2, step), what]));
    for (let done = 0; done < record.length;) done += writeSync(this.file, record, done);
  }
}

/** The record of a message. */
export function frame(message: Uint8Array): Uint8Array {
  const record = Buffer.alloc(12 + message.length + 4);
  record.writeBigUInt64LE(BigInt(message.length), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(message, 12);
  record.writeUInt32LE(maskedCrc32c(message), 12 + message.length);
  return record;
}

// Protobuf: a field is its number and wire type, then a varint (0), eight bytes (1), a length and bytes (2), or four
// bytes (5). https://protobuf.dev/programming-guides/encoding/

function varint(value: number): number[] {
  const out = [];
  // Steps may pass 2^31, so there are no shifts here.
  for (; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) + 128);
  return [...out, value];
}

const key = (field: number, wireType: number): number[] => varint(field * 8 + wireType);

const wholeNumber = (field: number, value: number): Uint8Array => Uint8Array.from([...key(field, 0), ...varint(value)]);

function double(field: number, value: number): Uint8Array {
  const encoded = Buffer.alloc(8);
  encoded.writeDoubleLE(value);
  return Buffer.concat([Uint8Array.from(key(field, 1)), encoded]);
}

function float(field: number, value: number): Uint8Array {
  const encoded = Buffer.alloc(4);
  encoded.writeFloatLE(value);
  return Buffer.concat([Uint8Array.from(key(field, 5)), encoded]);
}

const bytes = (field: number, value: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.from([...key(field, 2), ...varint(value.length)]), value]);

const text = (field: number, value: string): Uint8Array => bytes(field, Buffer.from(value));

const message = (field: number, ...fields: Uint8Array[]): Uint8Array => bytes(field, Buffer.concat(fields));
