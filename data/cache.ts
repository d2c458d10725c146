/**
 * The cache of decoded and resized samples: one file for a data set and a size, made once.
 *
 * Layout: the records, height x width x 4 bytes each (R, G, B, mask), then the index as JSON, then 16 bytes: the
 * index's length as u64 little-endian and the word "trimap01". The end is written last and the file gets its name after
 * that, so that what an interrupted build leaves is never taken for a cache. Two builds at once write files of their
 * own; the later one stays.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { createHash } from 'node:crypto';
import { applyPolicy, type Dataset, type Sample, type SplitName } from './dataset.js';
import { DataError, type BadFile } from './errors.js';
import { commitFile, removeAbandoned, temporaryName } from './files.js';
import { readBinaryMasks, type MaskValues } from './maskValues.js';
import { defaultWorkers, runJobs } from './workers.js';

/** Goes up with every change of what a record or the index holds: of decoding, resizing, mask bytes, layout. */
export const cacheVersion = 1;
const trailerWord = 'trimap01';
const trailerBytes = 16;

export interface CacheOptions {
  height: number;
  width: number;
  /** Where cache files are kept; default `.cache/trimap` in the current directory. */
  directory?: string;
  /** Threads that decode. */
  workers?: number;
  /** Called after each sample that had to be decoded. */
  onProgress?: (done: number, total: number) => void;
}

/** Size in bytes and time of change in ms of the two source files, by which a change of them is seen. */
type SourceStamp = [imageBytes: number, imageTime: number, maskBytes: number, maskTime: number];

interface IndexEntry {
  image: string;
  mask: string;
  stamp: SourceStamp;
  /** Position in the file in records; -1 when `bad` says why there is none. */
  record: number;
  foreground: number;
  values?: MaskValues;
  bad?: BadFile[];
}

interface CacheIndex {
  version: number;
  height: number;
  width: number;
  maskRule: string;
  entries: IndexEntry[];
}

export interface CachedSample extends Sample {
  /** Pixels of the resized mask that are foreground or border. */
  foreground: number;
}

/** The usable samples of a data set at one size, open for reading. */
export class Cache {
  /** Bytes of a record: height x width x 4. */
  readonly recordBytes: number;

  constructor(
    readonly height: number,
    readonly width: number,
    readonly samples: readonly CachedSample[],
    /** Lines for the user: how masks were read, what was decoded, which files were left out. */
    readonly notes: readonly string[],
    private readonly records: readonly number[],
    private readonly handle: FileHandle,
  ) {
    this.recordBytes = height * width * 4;
  }

  /** Indices into `samples` of one split, in the data set's order. */
  indices(split: SplitName): number[] {
    return this.samples.flatMap((sample, i) => (sample.split === split ? [i] : []));
  }

  /** Reads the record of a sample into `target`, which holds `recordBytes` bytes. */
  async read(index: number, target: Uint8Array): Promise<void> {
    await readFully(this.handle, target, this.records[index] * this.recordBytes);
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/**
 * Opens the cache of a data set, after making it or bringing it up to date: only samples whose files are new or changed
 * are decoded. Throws DataError naming all files that cannot be used (unless the data set says to skip them), when mask
 * values cannot be read, when no sample is left, or when the file cannot be written.
 */
export async function openCache(dataset: Dataset, options: CacheOptions): Promise<Cache> {
  const { height, width } = options;
  const file = cachePath(dataset, options);
  const notes: string[] = [];
  const stamps = await stampAll(dataset.samples);
  let opened = await openCacheFile(file, notes);
  try {
    const known = knownEntries(opened, dataset, options, notes);
    let entries = dataset.samples.map((sample, i) => {
      const entry = known.get(pairKey(sample));
      return entry && sameStamp(entry.stamp, stamps[i]) ? entry : undefined;
    });
    if (!opened || entries.includes(undefined)) {
      const built = await buildCache(file, dataset, options, stamps, entries, opened?.handle, notes);
      await opened?.handle.close();
      opened = built;
      entries = built.index.entries;
    }
    return finish(dataset, height, width, entries as IndexEntry[], opened.handle, notes);
  } catch (error) {
    await opened?.handle.close();
    throw error;
  }
}

function finish(
  dataset: Dataset,
  height: number,
  width: number,
  entries: readonly IndexEntry[],
  handle: FileHandle,
  notes: string[],
): Cache {
  applyPolicy(dataset, [...dataset.missing, ...entries.flatMap((entry) => entry.bad ?? [])], notes);
  const samples: CachedSample[] = [];
  const records: number[] = [];
  entries.forEach((entry, i) => {
    if (entry.record < 0) return;
    samples.push({ ...dataset.samples[i], foreground: entry.foreground });
    records.push(entry.record);
  });
  if (samples.length === 0) throw new DataError(`${dataset.root}: no usable photo is left`);
  if (dataset.maskRule === 'binary') {
    const masks = entries.flatMap(({ mask, values }) =>
      values ? [{ file: relative(dataset.root, mask), values }] : [],
    );
    notes.unshift(readBinaryMasks(masks));
  }
  return new Cache(height, width, samples, notes, records, handle);
}

function cachePath(dataset: Dataset, { height, width, directory = join('.cache', 'trimap') }: CacheOptions): string {
  const id = createHash('sha256').update(`${dataset.layout}\n${dataset.root}`).digest('hex').slice(0, 8);
  return resolve(directory, `${basename(dataset.root)}-${width}x${height}-${id}.cache`);
}

const pairKey = ({ image, mask }: { image: string; mask: string }) => `${image}\n${mask}`;

const sameStamp = (a: SourceStamp, b: SourceStamp) => a.every((value, i) => value === b[i]);

/** A file that is gone between listing and now gets -1, fails to be read in the worker, and is reported there. */
async function stampAll(samples: readonly Sample[]): Promise<SourceStamp[]> {
  const stampOf = async (file: string) => {
    try {
      const { size, mtimeMs } = await stat(file);
      return [size, mtimeMs];
    } catch {
      return [-1, -1];
    }
  };
  return Promise.all(
    samples.map(async ({ image, mask }) => [...(await stampOf(image)), ...(await stampOf(mask))] as SourceStamp),
  );
}

interface OpenedFile {
  handle: FileHandle;
  index: CacheIndex;
}

/** Entries of an existing cache file by pair, none when it is for something else; says so in the notes. */
function knownEntries(
  opened: OpenedFile | undefined,
  dataset: Dataset,
  { height, width }: CacheOptions,
  notes: string[],
): Map<string, IndexEntry> {
  if (!opened) return new Map();
  const { index } = opened;
  const reason =
    index.version !== cacheVersion
      ? `it has version ${index.version}, not ${cacheVersion}`
      : index.height !== height || index.width !== width
        ? `it holds ${index.width}x${index.height} pixels, not ${width}x${height}`
        : index.maskRule !== dataset.maskRule
          ? `its masks are read as ${index.maskRule}, not ${dataset.maskRule}`
          : undefined;
  if (reason) {
    notes.push(`cache made again: ${reason}`);
    return new Map();
  }
  return new Map(index.entries.map((entry) => [pairKey(entry), entry]));
}

/**
 * Opens a complete cache file; undefined when there is none, or, with a note, when it is damaged and so to be made
 * again.
 */
async function openCacheFile(file: string, notes: string[]): Promise<OpenedFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new DataError(
      `cache file ${file} cannot be opened (${(error as Error).message}); remove it or use another cache directory`,
    );
  }
  const index = await readIndex(handle);
  if (index) return { handle, index };
  notes.push('cache made again: its file is damaged');
  await handle.close();
  return undefined;
}

async function readIndex(handle: FileHandle): Promise<CacheIndex | undefined> {
  const { size } = await handle.stat();
  if (size < trailerBytes) return undefined;
  const trailer = Buffer.alloc(trailerBytes);
  await readFully(handle, trailer, size - trailerBytes);
  const length = Number(trailer.readBigUInt64LE(0));
  if (trailer.toString('latin1', 8) !== trailerWord || length > size - trailerBytes) return undefined;
  const text = Buffer.alloc(length);
  await readFully(handle, text, size - trailerBytes - length);
  try {
    const index = JSON.parse(text.toString()) as CacheIndex;
    const lastRecord = index.entries.reduce((last, entry) => Math.max(last, entry.record), -1);
    const fits = (lastRecord + 1) * index.height * index.width * 4 <= size - trailerBytes - length;
    return fits ? index : undefined;
  } catch {
    return undefined;
  }
}

async function readFully(handle: FileHandle, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.length;) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0)
      throw new DataError(`a cache file ends before byte ${position + target.length}; remove it to have it made again`);
    done += bytesRead;
  }
}

async function writeFully(handle: FileHandle, source: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < source.length;) {
    done += (await handle.write(source, done, source.length - done, position + done)).bytesWritten;
  }
}

/**
 * Writes the cache file anew: records of `kept` entries are copied from the old file, the others decoded. Record i is
 * sample i. Samples that cannot be used are written down with the reason, so that they are not decoded again before
 * their files change.
 */
async function buildCache(
  file: string,
  dataset: Dataset,
  { height, width, workers = defaultWorkers, onProgress }: CacheOptions,
  stamps: readonly SourceStamp[],
  kept: readonly (IndexEntry | undefined)[],
  old: FileHandle | undefined,
  notes: string[],
): Promise<OpenedFile> {
  const { samples, maskRule } = dataset;
  const recordBytes = height * width * 4;
  const temporary = temporaryName(file);
  let handle: FileHandle | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    removeAbandoned(file);
    const target = (handle = await open(temporary, 'wx+'));
    const entries: IndexEntry[] = [];
    const record = Buffer.alloc(recordBytes);
    for (const [i, entry] of kept.entries()) {
      if (!entry) continue;
      entries[i] = { ...entry, record: entry.bad ? -1 : i };
      if (entry.bad) continue;
      await readFully(old!, record, entry.record * recordBytes);
      await writeFully(target, record, i * recordBytes);
    }
    const todo = samples.flatMap((_, i) => (kept[i] ? [] : [i]));
    const jobs = todo.map((i) => ({ image: samples[i].image, mask: samples[i].mask, maskRule, height, width }));
    let done = 0;
    await runJobs('prepare', jobs, workers, async (job, result) => {
      const i = todo[job];
      const { image, mask } = samples[i];
      const source = { image, mask, stamp: stamps[i] };
      if (result.bad) {
        entries[i] = { ...source, record: -1, foreground: 0, bad: result.bad };
      } else {
        entries[i] = { ...source, record: i, foreground: result.foreground, values: result.values };
        await writeFully(target, result.pixels, i * recordBytes);
      }
      onProgress?.(++done, todo.length);
    });
    const index: CacheIndex = { version: cacheVersion, height, width, maskRule, entries };
    const text = Buffer.from(JSON.stringify(index));
    const trailer = Buffer.alloc(trailerBytes);
    trailer.writeBigUInt64LE(BigInt(text.length));
    trailer.write(trailerWord, 8, 'latin1');
    await writeFully(target, Buffer.concat([text, trailer]), samples.length * recordBytes);
    await handle.sync();
    // Windows renames closed files only.
    await handle.close();
    commitFile(temporary, file);
    handle = await open(file, 'r');
    const reused = samples.length - todo.length;
    if (reused > 0)
      notes.push(`cache: ${todo.length} of ${samples.length} photos new or changed and decoded, the rest kept`);
    return { handle, index };
  } catch (error) {
    await handle?.close();
    rmSync(temporary, { force: true });
    if (error instanceof DataError || (error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new DataError(
      `cache file ${file} cannot be written (${(error as Error).message}); free space or use another cache directory`,
    );
  }
}
