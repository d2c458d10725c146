/**
 * Files on disk: writing so that a file is either complete or not there (temporary name, flush, rename), and which
 * names count.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { DataError } from './errors.js';

const abandonedAfterMs = 3600e3;

/**
 * True for names that begin with a dot, such as the `._*.png` that macOS archives leave; no data layout counts them.
 */
export function isHidden(name: string): boolean {
  return name.startsWith('.');
}

/** A name next to `path` that no other process uses; `removeAbandoned` finds it should the writer be killed. */
export function temporaryName(path: string): string {
  return `${path}.${process.pid}-${randomBytes(4).toString('hex')}@${hostname()}.partial`;
}

/**
 * Removes temporary files (or folders) of `path` that killed writers left behind: those whose process on this machine
 * has ended, and those that nobody wrote to for an hour, in case the folder is shared with another machine.
 */
export function removeAbandoned(path: string): void {
  const folder = dirname(path);
  for (const name of readdirSync(folder)) {
    if (temporaryOf(name)?.of === basename(path)) removeIfAbandoned(join(folder, name));
  }
}

/** Removes what killed writers left behind of any file in the folder and those below it. */
export function removeAbandonedBelow(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) removeIfAbandoned(join(folder, name));
}

/** What a temporary file's name says: of which file, and who writes it. */
function temporaryOf(name: string): { of: string; pid: number; host: string } | undefined {
  const parts = /^(.*)\.(\d+)-[0-9a-f]{8}@(.*)\.partial$/.exec(name);
  return parts ? { of: parts[1], pid: Number(parts[2]), host: parts[3] } : undefined;
}

function removeIfAbandoned(file: string): void {
  const writer = temporaryOf(basename(file));
  if (!writer) return;
  const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  const ended = writer.host === hostname() && !isRunning(writer.pid);
  if (ended || age > abandonedAfterMs) rmSync(file, { force: true, recursive: true });
}

/** Whether this machine has a process of that number. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Puts a finished temporary file in its place, whatever stood there, so that a power cut leaves the old or the new one.
 */
export function commitFile(temporary: string, path: string): void {
  renameSync(temporary, path);
  // The rename itself lives in the directory. Windows cannot open directories, and needs no flush for this.
  if (process.platform === 'win32') return;
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Writes all chunks one after another as the file `path`, whose folder is made; a reader sees the old file or the whole
 * new one.
 * @throws DataError when it cannot be written: a full disk, say
 */
export function writeFileAtomic(path: string, ...chunks: (Uint8Array | string)[]): void {
  const temporary = temporaryName(path);
  try {
    mkdirSync(dirname(path), { recursive: true });
    removeAbandoned(path);
    const file = openSync(temporary, 'wx');
    try {
      for (const chunk of chunks) {
        const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
        for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    commitFile(temporary, path);
  } catch (error) {
    if (existsSync(temporary)) rmSync(temporary);
    throw new DataError(`${path} cannot be written (${(error as Error).message}); what stood there before is whole`);
  }
}
