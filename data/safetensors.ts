/**
 * The safetensors format: u64 little-endian header length, a JSON header `{"name": {"dtype", "shape", "data_offsets":
 * [from, to]}, ..., "__metadata__": {"key": "text"}}`, then the raw little-endian data; offsets count from the end of
 * the header. Source: https://github.com/huggingface/safetensors#format
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DataError } from './errors.js';
import { writeFileAtomic } from './files.js';

export type TensorData = Float32Array | Int32Array | Uint8Array;

export type TensorDtype = 'F32' | 'I32' | 'U8';

/** A named array of a file; `data` has as many elements as the product of `shape`, row-major. */
export interface StoredTensor {
  dtype: TensorDtype;
  shape: number[];
  data: TensorData;
}

export interface SafetensorsFile {
  tensors: Map<string, StoredTensor>;
  metadata: Record<string, string>;
}

const maxHeaderBytes = 100e6;
const bytesPerElement: Record<TensorDtype, number> = { F32: 4, I32: 4, U8: 1 };
const viewOf: Record<TensorDtype, new (buffer: ArrayBuffer, offset: number, length: number) => TensorData> = {
  F32: Float32Array,
  I32: Int32Array,
  U8: Uint8Array,
};

/** PyTorch's counters are I64; those that fit are read as I32. */
const readableBytes = { ...bytesPerElement, I64: 8 };

type ReadableDtype = keyof typeof readableBytes;

interface HeaderEntry {
  name: string;
  dtype: ReadableDtype;
  shape: number[];
  from: number;
  to: number;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Reads a whole file. Throws DataError naming the file, and the tensor where one is to blame, when the file is cut off,
 * its header is not what the format asks for, a tensor is of another dtype than F32, I32, I64 (read as I32) and U8, or
 * data ranges overlap or lie outside.
 */
export function readSafetensors(path: string): SafetensorsFile {
  const fail = (what: string): never => {
    throw new DataError(`${path}: ${what}`);
  };
  const { buffer, headerBytes } = readParts(path, fail);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(buffer, 0, headerBytes)));
  } catch (error) {
    return fail(`its safetensors header is not JSON (${(error as Error).message}); the file is damaged`);
  }
  if (header === null || typeof header !== 'object' || Array.isArray(header)) {
    return fail('its safetensors header is not a JSON object; the file is damaged');
  }
  const dataBytes = buffer.byteLength - headerBytes;
  const readData = (name: string, dtype: ReadableDtype, start: number, bytes: number): TensorData => {
    const size = readableBytes[dtype];
    const [source, offset] = start % size === 0 ? [buffer, start] : [buffer.slice(start, start + bytes), 0];
    if (dtype !== 'I64') return new viewOf[dtype](source, offset, bytes / size);
    const values = [...new BigInt64Array(source, offset, bytes / size)];
    const large = values.find((value) => BigInt.asIntN(32, value) !== value);
    return large === undefined
      ? Int32Array.from(values, Number)
      : fail(`tensor ${name} is I64 and holds ${large}; only values that fit 32 bits can be read`);
  };
  let metadata: Record<string, string> = {};
  const entries: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = checkMetadata(value, fail);
    else entries.push(checkEntry(name, value, dataBytes, fail));
  }
  checkOverlap(entries, fail);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, from, to } of entries) {
    const data = readData(name, dtype, headerBytes + from, to - from);
    tensors.set(name, { dtype: dtype === 'I64' ? 'I32' : dtype, shape, data });
  }
  return { tensors, metadata };
}

/**
 * Header and data of the file in one buffer, without the eight bytes of the length, so that data stay aligned where the
 * file has them so.
 */
function readParts(path: string, fail: (what: string) => never): { buffer: ArrayBuffer; headerBytes: number } {
  const file = openSync(path, 'r');
  try {
    const size = fstatSync(file).size;
    const start = Buffer.alloc(8);
    if (size < 8 || readSync(file, start, 0, 8, 0) < 8) {
      fail(`has ${size} bytes, too few for a safetensors file; it is cut off or of another format`);
    }
    const headerLength = start.readBigUInt64LE(0);
    if (headerLength > BigInt(maxHeaderBytes)) {
      fail(
        `says its header has ${headerLength} bytes, over the limit of ${maxHeaderBytes}; it is not a safetensors file`,
      );
    }
    const headerBytes = Number(headerLength);
    if (8 + headerBytes > size)
      fail(`ends inside its header (${size} bytes of at least ${8 + headerBytes}); it is cut off`);
    const buffer = new ArrayBuffer(size - 8);
    const bytes = new Uint8Array(buffer);
    // One read returns at most 2 GiB.
    for (let done = 0; done < bytes.length;) {
      const got = readSync(file, bytes, done, Math.min(bytes.length - done, 2 ** 30), 8 + done);
      if (got === 0) fail('became shorter while it was read');
      done += got;
    }
    return { buffer, headerBytes };
  } finally {
    closeSync(file);
  }
}

function checkMetadata(value: unknown, fail: (what: string) => never): Record<string, string> {
  const good =
    value !== null &&
    typeof value === 'object' &&
    !Array.isArray(value) &&
    Object.values(value).every((text) => typeof text === 'string');
  return good ? { ...(value as Record<string, string>) } : fail('__metadata__ must be an object of strings');
}

function checkEntry(name: string, value: unknown, dataBytes: number, fail: (what: string) => never): HeaderEntry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (typeof dtype !== 'string') return fail(`tensor ${name} has no dtype`);
  if (!Object.hasOwn(readableBytes, dtype)) {
    return fail(`tensor ${name} has dtype ${dtype}; F32, I32, I64 and U8 can be read`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`tensor ${name} has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount) || offsets[0] > offsets[1]) {
    return fail(`tensor ${name} has no valid data_offsets`);
  }
  const [from, to] = offsets as [number, number];
  const need = shape.reduce((product, n) => product * n, readableBytes[dtype as ReadableDtype]);
  if (to - from !== need) {
    return fail(
      `tensor ${name} with shape [${shape.join(', ')}] and dtype ${dtype} needs ${need} bytes but has ${to - from}`,
    );
  }
  if (to > dataBytes) {
    return fail(
      `tensor ${name} ends at byte ${to} of the data, but there are ${dataBytes}; the file is cut off or damaged`,
    );
  }
  return { name, dtype: dtype as ReadableDtype, shape, from, to };
}

function checkOverlap(entries: readonly HeaderEntry[], fail: (what: string) => never): void {
  const sorted = entries.filter((entry) => entry.to > entry.from).sort((a, b) => a.from - b.from);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i].from < sorted[i - 1].to) fail(`tensors ${sorted[i - 1].name} and ${sorted[i].name} overlap`);
  }
}

/**
 * Writes tensors and metadata atomically. Tensors of four-byte elements come first, then bytes, each in the order of
 * the map, and the header is padded with spaces to a multiple of 8, so that a reader can use the data where they lie.
 * Throws DataError when a tensor's data do not fit its dtype and shape.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Record<string, string> = {},
): void {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  const chunks: Uint8Array[] = [];
  let offset = 0;
  const sizeOf = (tensor: StoredTensor) => bytesPerElement[tensor.dtype];
  const ordered = [...tensors].sort(([, a], [, b]) => sizeOf(b) - sizeOf(a));
  for (const [name, { dtype, shape, data }] of ordered) {
    const count = shape.reduce((product, n) => product * n, 1);
    if (name === '__metadata__') throw new DataError(`${path}: a tensor cannot be named __metadata__`);
    if (!(data instanceof viewOf[dtype]) || data.length !== count) {
      const got = `${data.constructor.name} of ${data.length}`;
      throw new DataError(`${path}: tensor ${name} is ${dtype} of shape [${shape.join(', ')}] but its data is ${got}`);
    }
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    chunks.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileAtomic(path, length, padded, ...chunks);
}
