/**
 * The archives of Oxford-IIIT Pet, from the data set's own site or a mirror. Nothing is trusted but the checksum:
 * lengths that a server names are for the progress line and for the decision whether to ask again.
 *
 * What has come of an archive lies in NAME.partial until its checksum fits; then it gets its name. It is unpacked into
 * a folder beside the target, which gets its name when all of it is there. No step that is done is done again.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { unpack } from './archive.js';
import { fileType } from './decode.js';
import { DataError, listNames, plural } from './errors.js';
import { commitFile, removeAbandoned, temporaryName } from './files.js';

export interface Archive {
  /** File name, which is also its name below the base address. */
  name: string;
  /** Hexadecimal. */
  md5: string;
  /** What it unpacks to. */
  folder: string;
}

/** The data set's own site. */
export const oxfordPetUrl = 'https://thor.robots.ox.ac.uk/~vgg/data/pets/';

export const oxfordPetArchives: readonly Archive[] = [
  { name: 'annotations.tar.gz', md5: '95a8c909bbe2e81eed6a22bccdf3f68f', folder: 'annotations' },
  { name: 'images.tar.gz', md5: '5c4f3ee8e5d25df40f4fd59a7f44e54c', folder: 'images' },
];

export interface DownloadOptions {
  /** Base address, http or https. */
  url: string;
  /** Folder that the archives and their contents go into. */
  output: string;
  /** Stops with the signal's reason; what has come is kept. */
  signal?: AbortSignal;
  /** A line for the user. */
  onLine?: (line: string) => void;
  /** Bytes so far, and in all where the server says so. */
  onProgress?: (title: string, bytes: number, total: number | undefined) => void;
  /** Milliseconds without a byte after which a connection counts as lost. */
  idleMs?: number;
  /** Milliseconds before the first new try; doubled with each try that brings nothing. */
  retryMs?: number;
}

const maxRedirects = 5;
// Tries in a row that bring nothing new.
const maxFailures = 5;
const maxWaitMs = 30_000;

/**
 * Downloads and unpacks archives into `output`. Throws DataError when the server does not have them, when the
 * connection cannot be had any more, when a checksum is wrong, or when the disk refuses.
 */
export async function downloadArchives(archives: readonly Archive[], options: DownloadOptions): Promise<void> {
  const output = resolve(options.output);
  const { onLine } = options;
  try {
    mkdirSync(output, { recursive: true });
    for (const archive of archives) {
      const folder = join(output, archive.folder);
      if (existsSync(folder)) {
        onLine?.(`${folder} is there already and left as it is`);
        continue;
      }
      const file = join(output, archive.name);
      await fetchArchive(archive, file, options);
      await unpackArchive(archive, file, folder, options);
    }
  } catch (error) {
    const { syscall, path, message } = error as NodeJS.ErrnoException;
    if (error instanceof DataError || syscall === undefined) throw error;
    throw new DataError(`${path ?? output} cannot be written (${message}); free space or choose another folder`);
  }
}

/** Brings the archive to `file`, unless it is there with the right checksum. */
async function fetchArchive(archive: Archive, file: string, options: DownloadOptions): Promise<void> {
  const { onLine } = options;
  const partial = `${file}.partial`;
  if (existsSync(file)) {
    const md5 = (await hashFile(file)).hash.digest('hex');
    if (md5 === archive.md5) {
      onLine?.(`${file} is there already, md5 ${md5}`);
      return;
    }
    throw new DataError(
      `${file} is there with the md5 ${md5}, not ${archive.md5}; ` +
        `remove it, or rename it to ${archive.name}.partial to go on from it should it be the first part`,
    );
  }
  const source = new URL(archive.name, options.url.endsWith('/') ? options.url : `${options.url}/`);
  onLine?.(`${source.href} -> ${file}`);
  await new Transfer(archive, source, partial, options).run();
  commitFile(partial, file);
  onLine?.(`${file}: md5 ${archive.md5} as it should be`);
}

async function hashFile(file: string): Promise<{ hash: Hash; bytes: number }> {
  const hash = createHash('md5');
  let bytes = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { hash, bytes };
}

/** How a try ended: `final` where the server says that it has sent the last byte, else why it stopped. */
type Attempt = { final: true } | { final: false; reason: string };

/** Tells an error of the network from one of the disk. */
class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super('connection lost', { cause });
  }
}

/** One archive on its way into its partial file, over as many connections as it takes. */
class Transfer {
  private hash = createHash('md5');
  /** Bytes in the partial file, all of them in `hash`. */
  private bytes = 0;
  private total: number | undefined;
  /** Whether the bytes are from more than one connection, so that a wrong checksum may come from the joint. */
  private joined = false;
  private begunAnew = false;

  constructor(
    private readonly archive: Archive,
    private readonly source: URL,
    private readonly partial: string,
    private readonly options: DownloadOptions,
  ) {}

  /** Ends with the whole archive in the partial file. */
  async run(): Promise<void> {
    const { signal, onLine, retryMs = 1000 } = this.options;
    if (existsSync(this.partial)) {
      ({ hash: this.hash, bytes: this.bytes } = await hashFile(this.partial));
      if (this.bytes > 0) onLine?.(`going on from ${this.progress()} in ${this.partial}`);
    }
    // Counted from the farthest point ever reached, so that a server that begins anew each time is given up some day.
    let farthest = this.bytes;
    let failures = 0;
    while (this.hash.copy().digest('hex') !== this.archive.md5) {
      signal?.throwIfAborted();
      const attempt = await this.attempt();
      if (this.hash.copy().digest('hex') === this.archive.md5) return;
      const more = this.bytes > farthest;
      farthest = Math.max(farthest, this.bytes);
      if (attempt.final) {
        await this.refuseChecksum();
        continue;
      }
      failures = more ? 0 : failures + 1;
      if (failures === maxFailures) {
        throw new DataError(
          `${this.source.href}: ${attempt.reason}, ${maxFailures} times without progress. ` +
            `${this.progress()} are kept in ${this.partial}: the same command goes on from there`,
        );
      }
      const delay = Math.min(retryMs * 2 ** Math.max(0, failures - 1), maxWaitMs);
      onLine?.(`${this.archive.name}: ${attempt.reason} at ${this.progress()}; next try in ${delay / 1000} s`);
      await wait(delay, undefined, { signal });
    }
  }

  /** All is said to be there and the checksum is wrong: begins anew once if parts were joined, else gives up. */
  private async refuseChecksum(): Promise<void> {
    const got = this.hash.copy().digest('hex');
    const wrong = `${this.archive.name}: ${this.bytes} bytes with the md5 ${got}, not ${this.archive.md5}`;
    const type = await firstBytesType(this.partial);
    rmSync(this.partial, { force: true });
    if (!this.joined || this.begunAnew) {
      const hint = type === undefined ? '' : ` What came is a ${type} file.`;
      throw new DataError(`${wrong}.${hint} Try again, or another mirror by --url; it came from ${this.source.href}`);
    }
    this.options.onLine?.(`${wrong}; beginning anew, since it came in parts`);
    this.begunAnew = true;
    this.restart();
  }

  private restart(): void {
    this.hash = createHash('md5');
    this.bytes = 0;
    this.joined = false;
  }

  private progress(): string {
    return `${(this.bytes / 2 ** 20).toFixed(1)} MiB`;
  }

  /** One connection: asks for what is missing and appends what comes. */
  private async attempt(): Promise<Attempt> {
    let response: http.IncomingMessage;
    try {
      response = await this.request(this.source);
    } catch (error) {
      if (error instanceof DataError) throw error;
      return this.lost(error);
    }
    try {
      return await this.receive(response);
    } finally {
      response.destroy();
    }
  }

  private async receive(response: http.IncomingMessage): Promise<Attempt> {
    const status = response.statusCode!;
    if (status === 416) {
      // Nothing after what we have: it is complete and wrong.
      this.joined = true;
      return { final: true };
    }
    if (status !== 200 && status !== 206) {
      const answer = `the server answers ${status} ${response.statusMessage ?? ''}`.trimEnd();
      if (status >= 500 || status === 408 || status === 429) return { final: false, reason: answer };
      throw new DataError(`${this.source.href}: ${answer}; give the address of a mirror by --url`);
    }
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers['content-range'] ?? '');
    const length = Number(response.headers['content-length'] ?? NaN);
    if (status === 206) {
      if (Number(range?.[1]) !== this.bytes) {
        this.restart();
        return { final: false, reason: 'the server sends another part than was asked for' };
      }
      this.total = range?.[2] === '*' ? undefined : Number(range?.[2]);
      this.joined = true;
    } else {
      // The whole file: the first try, or a server that does not know ranges.
      this.restart();
      this.total = Number.isFinite(length) ? length : undefined;
    }
    return this.append(response);
  }

  /**
   * Writes what comes, at once and without waiting: a stream that is read bit by bit throws away what it still holds
   * when its connection breaks.
   */
  private async append(response: http.IncomingMessage): Promise<Attempt> {
    const { onProgress } = this.options;
    const file = openSync(this.partial, this.bytes === 0 ? 'w' : 'r+');
    try {
      await new Promise<void>((resolve, reject) => {
        response.on('data', (chunk: Buffer) => {
          try {
            for (let done = 0; done < chunk.length;)
              done += writeSync(file, chunk, done, chunk.length - done, this.bytes + done);
            this.hash.update(chunk);
            this.bytes += chunk.length;
            onProgress?.(this.archive.name, this.bytes, this.total);
          } catch (error) {
            reject(error);
            response.destroy();
          }
        });
        response.on('end', resolve);
        response.on('error', (error) => reject(new ConnectionLost(error)));
        response.on('close', () => reject(new ConnectionLost(new Error('closed'))));
      });
      fsyncSync(file);
    } catch (error) {
      if (error instanceof ConnectionLost) return this.lost(error.cause);
      throw error;
    } finally {
      closeSync(file);
    }
    const short = this.total !== undefined && this.bytes < this.total;
    return short ? { final: false, reason: 'the server stopped sending' } : { final: true };
  }

  /** A connection that ended with an error: the user's stop, or a loss that a new try may mend. */
  private lost(error: unknown): Attempt {
    this.options.signal?.throwIfAborted();
    const { code, message } = error as NodeJS.ErrnoException;
    return { final: false, reason: `the connection is lost (${code ?? message})` };
  }

  /** The answer's head. Node's http leaves the bytes as they are; fetch would undo a Content-Encoding of gzip. */
  private async request(url: URL): Promise<http.IncomingMessage> {
    for (let redirects = 0; redirects <= maxRedirects; redirects++) {
      const response = await this.requestOnce(url);
      const location = response.headers.location;
      if (![301, 302, 303, 307, 308].includes(response.statusCode!) || location === undefined) return response;
      response.destroy();
      url = new URL(location, url);
      if (url.protocol !== 'http:' && url.protocol !== 'https:')
        throw new DataError(`${this.source.href} leads to ${url.href}, which is neither http nor https`);
    }
    throw new DataError(`${this.source.href} leads on to other addresses more than ${maxRedirects} times`);
  }

  private requestOnce(url: URL): Promise<http.IncomingMessage> {
    const { signal, idleMs = 30_000 } = this.options;
    const headers: http.OutgoingHttpHeaders = { 'accept-encoding': 'identity', 'user-agent': 'trimap' };
    if (this.bytes > 0) headers.range = `bytes=${this.bytes}-`;
    const { request } = url.protocol === 'https:' ? https : http;
    return new Promise((resolve, reject) => {
      const asked = request(url, { headers, signal, agent: false }, resolve);
      asked.setTimeout(idleMs, () => asked.destroy(new Error(`no byte for ${(idleMs / 1000).toFixed(0)} s`)));
      asked.on('error', reject);
      asked.end();
    });
  }
}

async function firstBytesType(file: string): Promise<string | undefined> {
  for await (const chunk of createReadStream(file, { end: 31 }) as AsyncIterable<Buffer>) return fileType(chunk);
  return undefined;
}

/** Unpacks beside `folder` and gives it its name when all is there. */
async function unpackArchive(archive: Archive, file: string, folder: string, options: DownloadOptions): Promise<void> {
  const { onLine, onProgress, signal } = options;
  removeAbandoned(folder);
  const temporary = temporaryName(folder);
  const total = statSync(file).size;
  mkdirSync(temporary);
  try {
    const { files, leftOut } = await unpack(file, temporary, {
      signal,
      onProgress: (bytes) => onProgress?.(`unpacking ${archive.name}`, bytes, total),
    });
    const unpacked = join(temporary, archive.folder);
    if (!existsSync(unpacked)) throw new DataError(`${file} holds no folder ${archive.folder}/`);
    commitFile(unpacked, folder);
    onLine?.(`${plural(files, 'file')} unpacked into ${folder}`);
    if (leftOut.length > 0) onLine?.(`links and devices left out: ${listNames(leftOut, 10)}`);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
