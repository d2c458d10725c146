/** Batches read from the cache while the device works on the ones before. */
import { performance } from 'node:perf_hooks';
import { Random } from '../engine/random.js';
import type { Cache } from './cache.js';

export interface BatchOptions {
  batchSize: number;
  /** The samples of the cache to go through. */
  indices: readonly number[];
  /** An order that depends on these two alone; the order of `indices` when left out. */
  shuffle?: { seed: number; epoch: number };
  /**
   * What fills the last batch, whose size is that of every other. `wrap`: samples from the start of the same order,
   * which count as any others (training). `pad`: its last sample again, which `count` leaves out (evaluation).
   */
  last: 'wrap' | 'pad';
  /** How many batches to pass over: those that an interrupted epoch has had. */
  skip?: number;
}

/**
 * `pixels` holds batchSize records of height x width x (R, G, B, mask); it is written over at the second call of `next`
 * after its own.
 */
export interface Batch {
  /** Cache index and name of each place in the batch, those that only fill it included. */
  indices: number[];
  names: string[];
  /** How many places, from the first, hold samples that count. */
  count: number;
  pixels: Uint8Array<ArrayBuffer>;
}

const prefetchDepth = 2;
// The batch just returned, the one before, and those being read.
const bufferCount = prefetchDepth + 2;

/** The batches of one epoch. */
export class Batches {
  /** How many batches there are in all. */
  readonly length: number;
  /** Milliseconds that `next` has waited for reads so far: time in which the device may have had nothing to do. */
  waitedMs = 0;

  private readonly order: number[];
  private readonly buffers: Uint8Array<ArrayBuffer>[] = [];
  private readonly reads: Promise<void>[] = [];
  private position: number;

  constructor(
    private readonly cache: Cache,
    private readonly options: BatchOptions,
  ) {
    const { batchSize, indices, shuffle, skip = 0 } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new Error(`batch size ${batchSize} is not a whole number of at least 1`);
    this.order = [...indices];
    if (shuffle) new Random('shuffle', shuffle.seed, shuffle.epoch).shuffle(this.order);
    this.length = Math.ceil(this.order.length / batchSize);
    this.position = skip;
    const buffers = Math.min(bufferCount, this.length);
    for (let i = 0; i < buffers; i++) this.buffers.push(new Uint8Array(batchSize * cache.recordBytes));
    for (let batch = skip; batch < Math.min(skip + prefetchDepth, this.length); batch++) this.startReading(batch);
  }

  /** The next batch, or undefined after the last. Throws what reading it threw. */
  async next(): Promise<Batch | undefined> {
    const batch = this.position++;
    if (batch >= this.length) return undefined;
    if (batch + prefetchDepth < this.length) this.startReading(batch + prefetchDepth);
    const start = performance.now();
    await this.reads[batch];
    this.waitedMs += performance.now() - start;
    const indices = this.placesOf(batch);
    const rest = this.order.length - batch * this.options.batchSize;
    return {
      indices,
      names: indices.map((index) => this.cache.samples[index].name),
      count: this.options.last === 'wrap' ? indices.length : Math.min(indices.length, rest),
      pixels: this.buffers[batch % bufferCount],
    };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch> {
    try {
      for (let batch = await this.next(); batch; batch = await this.next()) yield batch;
    } finally {
      await this.close();
    }
  }

  /** Waits for reads under way, so that the cache can be closed although not all batches were taken. */
  async close(): Promise<void> {
    this.position = this.length;
    await Promise.allSettled(this.reads);
  }

  /** The cache index of every place of a batch. */
  private placesOf(batch: number): number[] {
    const { batchSize, last } = this.options;
    const count = this.order.length;
    return Array.from({ length: batchSize }, (_, place) => {
      const at = batch * batchSize + place;
      return this.order[last === 'wrap' ? at % count : Math.min(at, count - 1)];
    });
  }

  private startReading(batch: number): void {
    const { recordBytes } = this.cache;
    const buffer = this.buffers[batch % bufferCount];
    const read = Promise.all(
      this.placesOf(batch).map((index, place) =>
        this.cache.read(index, buffer.subarray(place * recordBytes, (place + 1) * recordBytes)),
      ),
    ).then(() => {});
    // A failed read is reported by the `next` that needs it; until then it must not count as unhandled.
    read.catch(() => {});
    this.reads[batch] = read;
  }
}
