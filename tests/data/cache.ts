import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { openCache, type Cache, type CacheOptions } from '../../data/cache.js';
import { openDataset } from '../../data/dataset.js';
import type { BadFilePolicy } from '../../data/errors.js';
import {
  dataError,
  gif,
  inDirectory,
  jpegPhoto,
  pngMask,
  pngPhoto,
  root,
  somePixels,
  writeFiles,
} from '../helpers/data.js';
import { skip } from '../helpers/skip.js';

const test = suite('data/cache');

const trimap = pngMask(4, 6, [1, 2, 3]);

/** Four listed photos of 4x6 pixels in the Oxford layout; `pet_1` is a PNG named .jpg like the others. */
function writeOxford(directory: string): void {
  const names = [0, 1, 2, 3].map((i) => `pet_${i}`);
  writeFiles(directory, { 'annotations/trainval.txt': names.map((name) => `${name} 1 1 1\n`).join('') });
  for (const [i, name] of names.entries()) {
    writeFiles(directory, { [`images/${name}.jpg`]: pngPhoto(4, 6, i), [`annotations/trimaps/${name}.png`]: trimap });
  }
}

interface Opened extends Partial<CacheOptions> {
  onBadFile?: BadFilePolicy;
}

/** Opens the cache of `directory`/data in `directory`/cache, counts what was decoded, and closes it after `body`. */
async function withCache<T>(
  directory: string,
  { onBadFile = 'stop', ...options }: Opened,
  body: (cache: Cache, decoded: number) => T | Promise<T>,
): Promise<T> {
  const dataset = openDataset(join(directory, 'data'), { seed: 0, onBadFile });
  let decoded = 0;
  const onProgress = (done: number) => (decoded = done);
  const cache = await openCache(dataset, {
    height: 4,
    width: 6,
    directory: join(directory, 'cache'),
    workers: 1,
    onProgress,
    ...options,
  });
  try {
    return await body(cache, decoded);
  } finally {
    await cache.close();
  }
}

const decodedBy = (directory: string, options: Opened = {}) => withCache(directory, options, (_, decoded) => decoded);
const errorOf = (directory: string, options: Opened = {}) => dataError(() => decodedBy(directory, options));
const cacheFile = (directory: string) => join(directory, 'cache', readdirSync(join(directory, 'cache'))[0]);

async function recordOf(cache: Cache, index: number): Promise<number[]> {
  const record = new Uint8Array(cache.recordBytes);
  await cache.read(index, record);
  return [...record];
}

const withOxford = (body: (directory: string) => Promise<void>) => () =>
  inDirectory(async (directory) => {
    writeOxford(join(directory, 'data'));
    await body(directory);
  });

test(
  'a record is R, G, B and the mask byte: 0 background, 1 pet, 2 border',
  withOxford((directory) =>
    withCache(directory, {}, async (cache) => {
      assert.equal(
        cache.samples.map(({ name, split }) => `${name} ${split}`),
        ['pet_0 valid', 'pet_1 train', 'pet_2 train', 'pet_3 train'],
      );
      assert.equal([cache.indices('valid'), cache.indices('train'), cache.indices('test')], [[0], [1, 2, 3], []]);
      for (const i of [3, 0, 1]) {
        const pixels = somePixels(4, 6, i);
        const record = await recordOf(cache, i);
        const wanted = Array.from({ length: 24 }, (_, at) => [
          ...pixels.subarray(at * 3, at * 3 + 3),
          [1, 0, 2][at % 3],
        ]).flat();
        assert.equal(record, wanted);
      }
      assert.is(cache.samples[0].foreground, 16);
    }),
  ),
);

test(
  'made once; a changed, touched, removed or added photo is the only one read again',
  withOxford(async (directory) => {
    const photo = join(directory, 'data', 'images', 'pet_2.jpg');
    assert.is(await decodedBy(directory), 4);
    assert.is(await decodedBy(directory), 0);
    utimesSync(photo, 1, 1);
    assert.is(await decodedBy(directory), 1);
    assert.is(await decodedBy(directory), 0);
    const { mtime } = statSync(photo);
    writeFileSync(photo, jpegPhoto(4, 6, [200, 100, 50]));
    utimesSync(photo, mtime, mtime);
    await withCache(directory, {}, async (cache, decoded) => {
      assert.is(decoded, 1);
      assert.match(cache.notes.join(), '1 of 4 photos new or changed');
      assert.ok((await recordOf(cache, 2))[0] > 190);
      assert.equal((await recordOf(cache, 3)).slice(0, 3), [3, 10, 17]);
    });
    writeFileSync(join(directory, 'data', 'annotations', 'trimaps', 'pet_0.png'), pngMask(4, 6, [2, 2, 1, 1]));
    assert.is(await decodedBy(directory), 1);
    writeFiles(join(directory, 'data'), { 'annotations/trainval.txt': 'pet_3 1 1 1\npet_1 1 1 1\n' });
    await withCache(directory, {}, async (cache, decoded) => {
      assert.is(decoded, 0);
      assert.equal((await recordOf(cache, 0)).slice(0, 3), [3, 10, 17]);
    });
  }),
);

test(
  'another size has a cache of its own',
  withOxford(async (directory) => {
    await decodedBy(directory);
    assert.is(await decodedBy(directory, { height: 8, width: 8 }), 4);
    assert.is(readdirSync(join(directory, 'cache')).length, 2);
    assert.is(await decodedBy(directory), 0);
  }),
);

/** Changes the index text of a cache file; the new text must be as long as the old. */
function editIndex(file: string, from: string, to: string): void {
  const bytes = readFileSync(file);
  bytes.write(to, bytes.lastIndexOf(from), 'latin1');
  writeFileSync(file, bytes);
}

test(
  'a cache of another version, or for another size, is made again',
  withOxford(async (directory) => {
    await decodedBy(directory);
    editIndex(cacheFile(directory), '"version":1', '"version":0');
    await withCache(directory, {}, (cache, decoded) => {
      assert.is(decoded, 4);
      assert.match(cache.notes.join(), 'cache made again: it has version 0, not 1');
    });
    editIndex(cacheFile(directory), '"height":4,"width":6', '"height":6,"width":4');
    assert.is(await decodedBy(directory), 4);
  }),
);

test(
  'a cut-off or damaged cache is made again',
  withOxford(async (directory) => {
    await decodedBy(directory);
    const file = cacheFile(directory);
    const whole = readFileSync(file);
    for (const bytes of [0, 10, 4 * 96, whole.length - 1]) {
      writeFileSync(file, whole);
      truncateSync(file, bytes);
      await withCache(directory, {}, (cache, decoded) => {
        assert.is(decoded, 4);
        assert.match(cache.notes.join(), 'damaged');
      });
    }
    assert.equal(readFileSync(file).subarray(0, 4 * 96), whole.subarray(0, 4 * 96));
  }),
);

test(
  'an interrupted build leaves nothing that counts, and its file is cleared away later',
  withOxford(async (directory) => {
    const stop = () => {
      throw new Error('interrupted');
    };
    try {
      await decodedBy(directory, { onProgress: stop });
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, 'interrupted');
    }
    assert.equal(readdirSync(join(directory, 'cache')), []);
    await decodedBy(directory);
    // A process number that no system gives out stands for a killed writer; this process stands for one that is still
    // at work.
    const [name] = readdirSync(join(directory, 'cache'));
    const killed = `${name}.2147483646-0123abcd@${hostname()}.partial`;
    const working = `${name}.${process.pid}-0123abcd@${hostname()}.partial`;
    writeFiles(join(directory, 'cache'), { [killed]: 'x', [working]: 'x' });
    utimesSync(join(directory, 'data', 'images', 'pet_0.jpg'), 1, 1);
    await decodedBy(directory);
    assert.equal(readdirSync(join(directory, 'cache')).sort(), [name, working].sort());
  }),
);

test(
  'two builds at once do not disturb each other, nor a reader of the old file',
  withOxford((directory) =>
    withCache(directory, {}, async (old) => {
      utimesSync(join(directory, 'data', 'images', 'pet_1.jpg'), 1, 1);
      const read = () => withCache(directory, {}, (cache) => recordOf(cache, 1));
      const [first, second] = await Promise.all([read(), read()]);
      assert.equal(first, second);
      assert.equal(await recordOf(old, 1), first);
      assert.is(readdirSync(join(directory, 'cache')).length, 1);
    }),
  ),
);

test(
  'all bad files are named at once, with the way to skip them',
  withOxford(async (directory) => {
    const data = join(directory, 'data');
    writeFiles(data, { 'images/pet_0.jpg': gif, 'images/pet_1.jpg': jpegPhoto(4, 6).subarray(0, 300) });
    rmSync(join(data, 'annotations', 'trimaps', 'pet_3.png'));
    const error = await errorOf(directory);
    assert.match(error, '3 files cannot be used');
    assert.match(error, `${join('images', 'pet_0.jpg')} is a GIF file, not JPEG or PNG`);
    assert.match(error, `${join('images', 'pet_1.jpg')} is a damaged or unsupported JPEG`);
    assert.match(error, `${join('annotations', 'trimaps', 'pet_3.png')} is in a list but not there`);
    assert.match(error, '--on-bad-file skip');
    assert.not.match(error, '\n');
    await withCache(directory, { onBadFile: 'skip' }, async (cache, decoded) => {
      // What the first attempt decoded stays.
      assert.is(decoded, 0);
      assert.equal(
        cache.samples.map(({ name }) => name),
        ['pet_2'],
      );
      assert.equal((await recordOf(cache, 0)).slice(0, 3), [2, 9, 16]);
      assert.match(cache.notes.join(), 'left out with the other file of the pair, 3 files: ');
    });
    writeFiles(data, {
      'images/pet_0.jpg': pngPhoto(4, 6),
      'images/pet_1.jpg': jpegPhoto(4, 6),
      'annotations/trimaps/pet_3.png': trimap,
    });
    assert.is(await decodedBy(directory), 3);
  }),
);

test(
  'sizes that differ, a wrong trimap and a damaged trimap are named',
  withOxford(async (directory) => {
    writeFiles(join(directory, 'data/annotations/trimaps'), {
      'pet_0.png': pngMask(6, 4, [1]),
      'pet_1.png': pngMask(4, 6, [0, 7, 9]),
      'pet_2.png': trimap.subarray(0, 50),
    });
    const error = await errorOf(directory);
    assert.match(error, /pet_0\.png has 4x6, but its photo .*pet_0\.jpg has 6x4 pixels/);
    assert.match(error, 'pet_1.png is no trimap of 1, 2 and 3: it holds 0 (8 pixels), 7 (8 pixels), 9 (8 pixels)');
    assert.match(error, 'pet_2.png is a damaged or unsupported PNG');
  }),
);

test(
  'nothing usable is an error under skip too',
  withOxford(async (directory) => {
    for (const i of [0, 1, 2, 3]) writeFiles(join(directory, 'data'), { [`images/pet_${i}.jpg`]: gif });
    assert.match(await errorOf(directory, { onBadFile: 'skip' }), 'no usable photo is left');
    rmSync(join(directory, 'data', 'images'), { recursive: true });
    rmSync(join(directory, 'cache'), { recursive: true });
    mkdirSync(join(directory, 'data', 'images'));
    assert.match(await errorOf(directory, { onBadFile: 'skip' }), 'no usable photo is left');
    assert.match(await errorOf(directory), '4 files cannot be used');
  }),
);

test(
  'a cache directory that cannot be made is named',
  withOxford(async (directory) => {
    writeFiles(directory, { file: '' });
    assert.match(
      await errorOf(directory, { directory: join(directory, 'file', 'cache') }),
      /cache file .*cannot be (opened|written)/,
    );
  }),
);

/** A folder of three pairs of 4x6 pixels whose masks hold these values. */
const withMasks = (masks: Uint8Array[], body: (directory: string) => Promise<void>) =>
  inDirectory(async (directory) => {
    masks.forEach((mask, i) => {
      writeFiles(join(directory, 'data'), { [`images/p${i}.png`]: pngPhoto(4, 6, i), [`masks/p${i}.png`]: mask });
    });
    await body(directory);
  });

for (const [values, note] of [
  [[0, 255], 'mask values {0, 255}'],
  [[0, 1], 'mask values {0, 1}'],
] as const) {
  test(`folder masks of ${values.join(' and ')} are read, and said, also from a cache`, () =>
    withMasks([pngMask(4, 6, values), pngMask(4, 6, [0]), pngMask(4, 6, values)], async (directory) => {
      for (const decoded of [3, 0]) {
        await withCache(directory, {}, async (cache, count) => {
          assert.is(count, decoded);
          assert.match(cache.notes[0], note);
          assert.equal((await recordOf(cache, 0)).filter((_, i) => i % 4 === 3).slice(0, 4), [0, 1, 0, 1]);
          assert.equal(
            cache.samples.map(({ foreground }) => foreground),
            [12, 0, 12],
          );
        });
      }
    }));
}

test('other mask values are an error with values, counts and a file, not decoded twice', () =>
  withMasks([pngMask(4, 6, [0, 255]), pngMask(4, 6, [0, 7, 9])], async (directory) => {
    const error = await errorOf(directory);
    assert.match(error, 'masks hold the values 0 (20 pixels), 255 (12 pixels), 7 (8 pixels), 9 (8 pixels)');
    assert.match(error, `for example ${join('masks', 'p1.png')}`);
    writeFiles(join(directory, 'data'), { 'masks/p1.png': pngMask(4, 6, [0, 255]) });
    assert.is(await decodedBy(directory), 1);
  }));

test('a mix of {0, 1} and {0, 255}, and masks without foreground, are errors', async () => {
  await withMasks([pngMask(4, 6, [0, 1]), pngMask(4, 6, [0, 255])], async (directory) => {
    assert.match(await errorOf(directory), /0 \(24 pixels\), 1 \(12 pixels\), 255 \(12 pixels\)/);
  });
  await withMasks([pngMask(4, 6, [0])], async (directory) => {
    assert.match(await errorOf(directory), 'every mask holds the single value 0 (24 pixels)');
  });
});

test('JPEG masks are refused with the reason', () =>
  inDirectory(async (directory) => {
    writeFiles(join(directory, 'data'), {
      'images/a.jpg': jpegPhoto(8, 8),
      'masks/a.jpg': jpegPhoto(8, 8, [77, 77, 77]),
    });
    writeFiles(join(directory, 'data'), { 'images/b.jpg': jpegPhoto(8, 8), 'masks/b.png': pngMask(8, 8, [0, 255]) });
    assert.match(await errorOf(directory), 'JPEG smears');
  }));

test('the real photos: the PNG in test.txt is read', async () => {
  const real = join(root, '..', 'shared', 'data', 'oxford-iiit-pet');
  if (!existsSync(real)) return skip('the real photos are not at ../shared/data/oxford-iiit-pet');
  const dataset = openDataset(real, { seed: 0, onBadFile: 'stop' });
  const some = dataset.samples.filter(({ name }, i) => name === 'Abyssinian_5' || i % 60 === 0);
  await inDirectory(async (directory) => {
    const cache = await openCache({ ...dataset, samples: some }, { height: 64, width: 64, directory });
    try {
      const index = cache.samples.findIndex(({ name }) => name === 'Abyssinian_5');
      assert.is(cache.samples[index].split, 'test');
      assert.is(cache.samples.length, some.length);
      assert.ok(new Set(await recordOf(cache, index)).size > 50);
      assert.ok(cache.samples.every(({ foreground }) => foreground > 0 && foreground < 64 * 64));
    } finally {
      await cache.close();
    }
  });
});

test.run();
