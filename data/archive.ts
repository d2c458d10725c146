/**
 * Unpacks .tar.gz archives (POSIX ustar with pax headers, and GNU tar) as a stream. Strict about where files go: a name
 * that is absolute or climbs out of the folder ends the unpacking. Links and devices are never made, so that no later
 * name can lead through one.
 *
 * Source of the format: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 */
import { createReadStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DataError } from './errors.js';

const blockBytes = 512;
// Extended headers hold names; real ones have a few hundred bytes.
const maxExtendedBytes = 1 << 20;

export interface UnpackOptions {
  /** Called with the bytes of the archive that were read so far, after each file. */
  onProgress?: (bytes: number) => void;
  /** Ends the unpacking with the signal's reason. */
  signal?: AbortSignal;
}

export interface Unpacked {
  files: number;
  /** Names of links and devices, which are left out. */
  leftOut: string[];
}

/** Type flags of ustar, and those of GNU tar and pax for headers that belong to the entry after them. */
const types = { file: ['0', '\0', '7'], folder: '5', pax: 'x', paxGlobal: 'g', gnuName: 'L', gnuLink: 'K' };

/**
 * Unpacks `archive` into the folder `target`. Throws DataError when the archive is damaged, ends early, or holds a name
 * that leads out of `target`; what was unpacked before that stays there, so give it a folder of its own.
 */
export async function unpack(archive: string, target: string, options: UnpackOptions = {}): Promise<Unpacked> {
  const { onProgress, signal } = options;
  const source = createReadStream(archive);
  // Errors of either stream reach the reader of the second one.
  const plain = pipeline(source, createGunzip(), () => undefined);
  const input = new ByteReader(plain[Symbol.asyncIterator]() as AsyncIterator<Buffer>);
  const result: Unpacked = { files: 0, leftOut: [] };
  try {
    let name: string | undefined;
    let size: number | undefined;
    for (;;) {
      signal?.throwIfAborted();
      const header = readHeader(await input.read(blockBytes));
      if (!header) return result;
      if (header.type === types.pax || header.type === types.gnuName) {
        const text = await readExtended(input, header);
        if (header.type === types.gnuName) {
          name = text.toString().replace(/\0.*$/s, '');
        } else {
          const records = paxRecords(text);
          name = records.get('path') ?? name;
          size = records.has('size') ? wholeNumber(records.get('size')!) : size;
        }
        continue;
      }
      if (header.type === types.paxGlobal || header.type === types.gnuLink) {
        await readExtended(input, header);
        continue;
      }
      const entry = { ...header, name: name ?? header.name, size: size ?? header.size };
      name = size = undefined;
      if (types.file.includes(entry.type) && !entry.name.endsWith('/')) {
        await writeEntry(input, entry.size, join(target, safePath(entry.name)));
        result.files++;
        onProgress?.(source.bytesRead);
      } else {
        // Folders that hold no file are not needed; those that do are made for it.
        if (entry.type !== types.folder && !types.file.includes(entry.type)) result.leftOut.push(entry.name);
        safePath(entry.name);
        await input.skip(padded(entry.size));
      }
    }
  } catch (error) {
    if (error instanceof TarError) throw new DataError(`${archive} cannot be unpacked: ${error.message}`);
    if (String((error as NodeJS.ErrnoException).code).startsWith('Z_'))
      throw new DataError(`${archive} cannot be unpacked: it is no sound gzip file (${(error as Error).message})`);
    throw error;
  } finally {
    source.destroy();
    plain.destroy();
  }
}

/** Something is wrong with the archive; the message goes on from "cannot be unpacked:". */
class TarError extends Error {}

interface Header {
  name: string;
  size: number;
  type: string;
}

/** The fields of a header block that matter here; undefined for a block of zeros, which ends the archive. */
function readHeader(block: Buffer): Header | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  // The checksum is the sum of all bytes, with its own eight counted as spaces.
  const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
  if (sum !== octal(block, 148, 8)) throw new TarError('a header has a wrong checksum');
  const text = (from: number, length: number) =>
    block
      .subarray(from, from + length)
      .toString()
      .replace(/\0.*$/s, '');
  // GNU tar, whose magic has a space here, keeps times where POSIX has the first part of a long name.
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? text(345, 155) : '';
  const name = text(0, 100);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: sizeField(block),
    type: String.fromCharCode(block[156]),
  };
}

/** Octal digits, or with the highest bit set a big-endian binary number (GNU, for more than 8 GiB). */
function sizeField(block: Buffer): number {
  if ((block[124] & 0x80) === 0) return octal(block, 124, 12);
  const size = block.subarray(125, 136).reduce((total, byte) => total * 256 + byte, block[124] & 0x7f);
  if (!Number.isSafeInteger(size)) throw new TarError('a header has a size that is no size');
  return size;
}

function octal(block: Buffer, from: number, length: number): number {
  const digits = block
    .toString('latin1', from, from + length)
    .replace(/[\0 ]+$/, '')
    .trimStart();
  if (!/^[0-7]*$/.test(digits)) throw new TarError(`a header has "${digits}" where a number stands`);
  return digits === '' ? 0 : parseInt(digits, 8);
}

function wholeNumber(digits: string): number {
  const number = Number(digits);
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(number)) throw new TarError(`"${digits}" is no size`);
  return number;
}

/** Records `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record in bytes. */
function paxRecords(text: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < text.length;) {
    const space = text.indexOf(' ', at);
    const length = space < 0 ? 0 : wholeNumber(text.toString('latin1', at, space));
    const end = at + length;
    const equals = text.indexOf('=', space);
    if (end > text.length || equals < 0 || equals >= end || text[end - 1] !== 0x0a)
      throw new TarError('an extended header is damaged');
    records.set(text.toString('utf8', space + 1, equals), text.toString('utf8', equals + 1, end - 1));
    at = end;
  }
  return records;
}

async function readExtended(input: ByteReader, { size }: Header): Promise<Buffer> {
  if (size > maxExtendedBytes) throw new TarError(`an extended header claims ${size} bytes`);
  return (await input.read(padded(size))).subarray(0, size);
}

/** Contents fill whole blocks. */
const padded = (size: number) => Math.ceil(size / blockBytes) * blockBytes;

/** The name as a path below the target. A backslash separates folders on Windows, and a colon names a drive. */
function safePath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  const leaves = name.startsWith('/') || parts.includes('..') || /[\\\0]/.test(name) || /^[a-z]:/i.test(parts[0] ?? '');
  if (leaves) throw new TarError(`it holds the name "${name}", which leads out of the folder; nothing good does that`);
  return parts.join('/');
}

async function writeEntry(input: ByteReader, size: number, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'w');
  try {
    for (let left = size; left > 0;) {
      const part = await input.some(left);
      await file.writeFile(part);
      left -= part.length;
    }
  } finally {
    await file.close();
  }
  await input.skip(padded(size) - size);
}

/** Reads given numbers of bytes from chunks of any length. */
class ByteReader {
  private rest = Buffer.alloc(0) as Buffer;

  constructor(private readonly chunks: AsyncIterator<Buffer>) {}

  /** Between 1 and `most` bytes. */
  async some(most: number): Promise<Buffer> {
    while (this.rest.length === 0) {
      const { done, value } = await this.chunks.next();
      if (done) throw new TarError('it ends early');
      this.rest = value;
    }
    const part = this.rest.subarray(0, most);
    this.rest = this.rest.subarray(part.length);
    return part;
  }

  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0;) {
      const part = await this.some(left);
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts, length);
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0;) left -= (await this.some(left)).length;
  }
}
