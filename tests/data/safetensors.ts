import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors, type StoredTensor } from '../../data/safetensors.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('data/safetensors');

const tensors = new Map<string, StoredTensor>([
  ['bytes', { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 255) }],
  ['weight', { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1.5, -0, NaN, Infinity) }],
  ['steps', { dtype: 'I32', shape: [1], data: Int32Array.of(-7) }],
  ['empty', { dtype: 'F32', shape: [0, 4], data: new Float32Array() }],
]);

/** A file of a header given as text and so many bytes of data. */
function fileOf(header: string, dataBytes: number, headerLength = header.length): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(headerLength));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes, 1)]);
}

const entry = (dtype: string, shape: number[], from: number, to: number) => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

test('what is written is read, bit for bit', () =>
  inDirectory((directory) => {
    const path = join(directory, 'new', 'a.safetensors');
    writeSafetensors(path, tensors, { epoch: '3', note: 'ü' });
    const read = readSafetensors(path);
    assert.equal(read.metadata, { epoch: '3', note: 'ü' });
    assert.equal(new Set(read.tensors.keys()), new Set(tensors.keys()));
    for (const [name, { dtype, shape, data }] of tensors) {
      const got = read.tensors.get(name)!;
      assert.equal([got.dtype, got.shape, got.data.constructor], [dtype, shape, data.constructor]);
      const bytes = (array: StoredTensor['data']) => [
        ...new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
      ];
      assert.equal(bytes(got.data), bytes(data));
    }
    assert.equal(readdirSync(join(directory, 'new')), ['a.safetensors']);
  }));

test('data begin at a multiple of 8, four-byte elements first', () =>
  inDirectory((directory) => {
    const path = join(directory, 'a');
    writeSafetensors(path, tensors);
    const headerBytes = Number(readFileSync(path).readBigUInt64LE(0));
    assert.is(headerBytes % 8, 0);
    const header = JSON.parse(readFileSync(path).toString('utf8', 8, 8 + headerBytes)) as Record<string, unknown>;
    assert.equal(header.bytes, entry('U8', [3], 20, 23));
    assert.not.ok('__metadata__' in header);
  }));

test('unaligned data are read', () =>
  inDirectory((directory) => {
    const path = join(directory, 'a');
    writeFileSync(path, fileOf(JSON.stringify({ a: entry('U8', [1], 0, 1), b: entry('I32', [1], 1, 5) }), 5));
    assert.equal([...readSafetensors(path).tensors.get('b')!.data], [0x01010101]);
  }));

test('I64, which PyTorch counts batches in, is read as I32 where it fits', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'a');
    const file = (value: bigint) => {
      const bytes = fileOf(JSON.stringify({ n: entry('I64', [1], 0, 8) }), 8);
      bytes.writeBigInt64LE(value, bytes.length - 8);
      writeFileSync(path, bytes);
    };
    file(-3n);
    assert.equal(readSafetensors(path).tensors.get('n'), { dtype: 'I32', shape: [1], data: Int32Array.of(-3) });
    file(2n ** 40n);
    assert.match(await dataError(() => readSafetensors(path)), /tensor n is I64 and holds 1099511627776/);
  }));

test('a failed write leaves the old file and nothing else', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'a');
    writeSafetensors(path, tensors);
    const wrong = new Map([['w', { dtype: 'F32', shape: [3], data: new Float32Array(2) } as StoredTensor]]);
    assert.match(
      await dataError(() => writeSafetensors(path, wrong)),
      /tensor w is F32 of shape \[3\] but its data is Float32Array of 2/,
    );
    assert.is(readSafetensors(path).tensors.size, 4);
    assert.equal(readdirSync(directory), ['a']);
  }));

const malformed: [what: string, file: Buffer, message: RegExp][] = [
  ['nothing', Buffer.alloc(0), /too few/],
  ['header over 100 MB', fileOf('{}', 0, 100_000_001), /over the limit/],
  ['header longer than the file', fileOf('{}', 0, 500), /cut off/],
  ['no JSON', fileOf('{"a":', 0), /not JSON/],
  ['a list', fileOf('[]', 0), /not a JSON object/],
  ['metadata that are no strings', fileOf('{"__metadata__":{"a":1}}', 0), /__metadata__/],
  ['no dtype', fileOf('{"a":{"shape":[1],"data_offsets":[0,4]}}', 4), /tensor a has no dtype/],
  ['a null', fileOf('{"a":null}', 4), /tensor a has no dtype/],
  ['another dtype', fileOf(JSON.stringify({ a: entry('BF16', [2], 0, 4) }), 4), /tensor a has dtype BF16/],
  [
    'a dtype that every object has',
    fileOf(JSON.stringify({ a: entry('toString', [2], 0, 4) }), 4),
    /has dtype toString/,
  ],
  ['a negative size', fileOf(JSON.stringify({ a: entry('F32', [-1], 0, 4) }), 4), /no valid shape/],
  ['offsets the wrong way', fileOf(JSON.stringify({ a: entry('F32', [1], 4, 0) }), 4), /data_offsets/],
  ['too few bytes for the shape', fileOf(JSON.stringify({ a: entry('F32', [2], 0, 4) }), 8), /needs 8 bytes but has 4/],
  ['data that are cut off', fileOf(JSON.stringify({ a: entry('F32', [2], 0, 8) }), 7), /cut off/],
  [
    'overlap',
    fileOf(JSON.stringify({ b: entry('F32', [2], 4, 12), a: entry('F32', [2], 0, 8) }), 12),
    /a and b overlap/,
  ],
];
for (const [what, file, message] of malformed) {
  test(`malformed: ${what}`, () =>
    inDirectory(async (directory) => {
      const path = join(directory, 'bad.safetensors');
      writeFileSync(path, file);
      const error = await dataError(() => readSafetensors(path));
      assert.match(error, message);
      assert.ok(error.startsWith(path));
    }));
}

test.run();
