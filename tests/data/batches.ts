import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { join } from 'node:path';
import { Batches, type Batch, type BatchOptions } from '../../data/batches.js';
import { openCache, type Cache } from '../../data/cache.js';
import { openDataset } from '../../data/dataset.js';
import { inDirectory, pngMask, pngPhoto, writeFiles } from '../helpers/data.js';

const test = suite('data/batches');

const sampleCount = 11;

/** A cache of photos of 2x2 pixels; the first byte of record i is 10 i. */
const withCache = (body: (cache: Cache) => Promise<void>) => () =>
  inDirectory(async (directory) => {
    for (let i = 0; i < sampleCount; i++) {
      const name = `p${String(i).padStart(2, '0')}.png`;
      writeFiles(join(directory, 'data'), {
        [`images/${name}`]: pngPhoto(2, 2, 10 * i),
        [`masks/${name}`]: pngMask(2, 2, [0, 1]),
      });
    }
    const dataset = openDataset(join(directory, 'data'), { seed: 0, onBadFile: 'stop' });
    const cache = await openCache(dataset, { height: 2, width: 2, directory, workers: 1 });
    try {
      await body(cache);
    } finally {
      await cache.close();
    }
  });

const all = Array.from({ length: sampleCount }, (_, i) => i);

/** The batches, each checked to hold the pixels of its samples. */
async function collect(cache: Cache, options: Partial<BatchOptions>): Promise<Omit<Batch, 'pixels'>[]> {
  const result: Omit<Batch, 'pixels'>[] = [];
  for await (const { pixels, ...rest } of new Batches(cache, {
    batchSize: 4,
    indices: all,
    last: 'wrap',
    ...options,
  })) {
    assert.is(pixels.length, rest.indices.length * cache.recordBytes);
    assert.equal(
      rest.indices.map((_, place) => pixels[place * cache.recordBytes]),
      rest.indices.map((i) => 10 * i),
    );
    assert.equal(
      rest.names,
      rest.indices.map((i) => cache.samples[i].name),
    );
    result.push(rest);
  }
  return result;
}

test(
  'wrap: the last batch goes on from the start, and all of it counts',
  withCache(async (cache) => {
    const batches = await collect(cache, { last: 'wrap' });
    assert.equal(
      batches.map(({ indices }) => indices),
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 0],
      ],
    );
    assert.equal(
      batches.map(({ count }) => count),
      [4, 4, 4],
    );
  }),
);

test(
  'pad: the last sample again, and it does not count',
  withCache(async (cache) => {
    const batches = await collect(cache, { last: 'pad' });
    assert.equal(
      batches.map(({ indices }) => indices),
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 10],
      ],
    );
    assert.equal(
      batches.map(({ count }) => count),
      [4, 4, 3],
    );
  }),
);

test(
  'fewer samples than a batch; none at all',
  withCache(async (cache) => {
    assert.equal((await collect(cache, { indices: [5, 2], last: 'wrap' }))[0].indices, [5, 2, 5, 2]);
    assert.equal((await collect(cache, { indices: [5], last: 'pad' }))[0], {
      indices: [5, 5, 5, 5],
      names: Array(4).fill('p05'),
      count: 1,
    });
    assert.equal(await collect(cache, { indices: [] }), []);
  }),
);

test(
  'shuffled: every sample once, an order of seed and epoch',
  withCache(async (cache) => {
    const order = async (seed: number, epoch: number, batchSize = 1) => {
      const batches = await collect(cache, { batchSize, shuffle: { seed, epoch }, last: 'pad' });
      return batches.flatMap(({ indices, count }) => indices.slice(0, count));
    };
    const first = await order(1, 0);
    assert.equal(
      [...first].sort((a, b) => a - b),
      all,
    );
    assert.not.equal(first, all);
    assert.equal(await order(1, 0), first);
    assert.equal(await order(1, 0, 3), first);
    assert.not.equal(await order(1, 1), first);
    assert.not.equal(await order(2, 0), first);
  }),
);

test(
  "a batch's pixels stay until the call after the next",
  withCache(async (cache) => {
    const batches = new Batches(cache, { batchSize: 1, indices: all, last: 'pad' });
    assert.is(batches.length, sampleCount);
    let previous = await batches.next();
    for (let batch = await batches.next(); batch; batch = await batches.next()) {
      // Reads started by that call have time to end.
      await new Promise((resolve) => setTimeout(resolve, 2));
      assert.is(previous!.pixels[0], 10 * previous!.indices[0]);
      assert.is(batch.pixels[0], 10 * batch.indices[0]);
      previous = batch;
    }
    assert.is(await batches.next(), undefined);
    assert.ok(batches.waitedMs >= 0);
  }),
);

test(
  'ending early leaves no read behind; a failed read is thrown where its batch is asked for',
  withCache(async (cache) => {
    for await (const batch of new Batches(cache, { batchSize: 2, indices: all, last: 'pad' })) {
      assert.is(batch.count, 2);
      break;
    }
    const broken = Object.create(cache, { read: { value: () => Promise.reject(new Error('disk gone')) } }) as Cache;
    const batches = new Batches(broken, { batchSize: 2, indices: all, last: 'pad' });
    await new Promise((resolve) => setTimeout(resolve, 2));
    try {
      await batches.next();
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, 'disk gone');
    }
    await batches.close();
  }),
);

test(
  'a batch size must be a whole number',
  withCache(async (cache) => {
    for (const batchSize of [0, 1.5, NaN]) {
      assert.throws(() => new Batches(cache, { batchSize, indices: all, last: 'pad' }), /batch size/);
    }
  }),
);

test.run();
