/** Tar archives for tests, header by header, so that bad ones can be made too. */
import { gzipSync } from 'node:zlib';

export interface TarEntry {
  name: string;
  content?: Uint8Array | string;
  /** Type flag; default a file. */
  type?: string;
  /** First part of a long name (POSIX ustar). */
  prefix?: string;
  /** The size field as it stands in the header, where it is not the content's. */
  size?: string | Buffer;
  /** Default POSIX's; GNU tar's is `ustar  \0`, version 7 has none. */
  magic?: string;
  linkName?: string;
  /** Added to the right checksum. */
  checksumError?: number;
}

const BLOCK = 512;

function block(entry: TarEntry): Buffer {
  const content = Buffer.from(entry.content ?? '');
  const header = Buffer.alloc(BLOCK);
  header.write(entry.name, 0, 100);
  header.write('0000644\0', 100);
  header.write('0001750\0', 108);
  header.write('0001750\0', 116);
  const size = entry.size ?? `${content.length.toString(8).padStart(11, '0')}\0`;
  if (typeof size === 'string') header.write(size, 124);
  else size.copy(header, 124);
  header.write('14000000000\0', 136);
  header.write(entry.type ?? '0', 156, 'latin1');
  header.write(entry.linkName ?? '', 157, 100);
  header.write(entry.magic ?? 'ustar\x0000', 257, 'latin1');
  header.write(entry.prefix ?? '', 345, 155);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0) + (entry.checksumError ?? 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}

/** @param end blocks of zeros at the end; a sound archive has two */
export function tar(entries: readonly TarEntry[], end = 2): Buffer {
  return Buffer.concat([...entries.map(block), Buffer.alloc(end * BLOCK)]);
}

export const tarGz = (entries: readonly TarEntry[]): Buffer => gzipSync(tar(entries));

/** A pax record; its length counts its own digits. */
export function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return `${length} ${key}=${value}\n`;
}
