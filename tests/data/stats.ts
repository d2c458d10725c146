import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';
import { openDataset, type Dataset } from '../../data/dataset.js';
import { encodeRgbPng } from '../../data/png.js';
import { measureTraining } from '../../data/stats.js';
import { dataError, inDirectory, pngMask, pngPhoto, root, somePixels, writeFiles } from '../helpers/data.js';
import { skip } from '../helpers/skip.js';

const test = suite('data/stats');

const open = (directory: string, onBadFile: 'stop' | 'skip' = 'stop') => openDataset(directory, { seed: 0, onBadFile });

/** Mean and standard deviation of each channel over all photos (RGB bytes) together, the plain way: in two passes. */
function twoPass(photos: readonly ArrayLike<number>[]): { mean: number[]; std: number[] } {
  const meanOf = (channel: number, term: (value: number) => number): number => {
    let sum = 0;
    let count = 0;
    for (const pixels of photos) {
      for (let i = channel; i < pixels.length; i += 3, count++) sum += term(pixels[i] / 255);
    }
    return sum / count;
  };
  const mean = [0, 1, 2].map((channel) => meanOf(channel, (value) => value));
  const std = mean.map((centre, channel) => Math.sqrt(meanOf(channel, (value) => (value - centre) ** 2)));
  return { mean, std };
}

function assertClose(got: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.is(got.length, expected.length);
  got.forEach((value, i) =>
    assert.ok(Math.abs(value - expected[i]) <= tolerance, `${value} is not ${expected[i]} to within ${tolerance}`),
  );
}

/** Oxford layout: pet_0 and pet_10 are for validation, `last` for the test. */
function writeOxford(directory: string, photos: readonly Uint8Array[], masks: readonly Uint8Array[]): void {
  const names = photos.map((_, i) => `pet_${i}`);
  writeFiles(directory, {
    'annotations/trainval.txt': names.map((name) => `${name} 1 1 1\n`).join(''),
    'annotations/test.txt': 'last 1 1 1\n',
    'images/last.jpg': pngPhoto(3, 3),
    'annotations/trimaps/last.png': pngMask(3, 3, [2]),
  });
  for (const [i, name] of names.entries())
    writeFiles(directory, { [`images/${name}.jpg`]: photos[i], [`annotations/trimaps/${name}.png`]: masks[i] });
}

test('mean, deviation, shares and sizes of the training photos alone', () =>
  inDirectory(async (directory) => {
    const sizes = [
      [50, 50],
      [3, 5],
      [8, 2],
      [4, 4],
      [1, 1],
    ];
    const photos = sizes.map(([height, width], i) => pngPhoto(height, width, i * 40));
    const masks = sizes.map(([height, width], i) => pngMask(height, width, i === 1 ? [1, 2, 3] : [2]));
    writeOxford(directory, photos, masks);
    const steps: [number, number][] = [];
    const stats = await measureTraining(open(directory), { workers: 2, onProgress: (...step) => steps.push(step) });
    const pixels = sizes.slice(1).map(([height, width], i) => somePixels(height, width, (i + 1) * 40));
    const { mean, std } = twoPass(pixels);
    assertClose(stats.mean, mean, 1e-12);
    assertClose(stats.std, std, 1e-12);
    assert.is(stats.photos, 4);
    assert.is(stats.pixels, 15 + 16 + 16 + 1);
    assert.equal(stats.maskShares, { pet: 5 / 48, background: 38 / 48, border: 5 / 48 });
    assert.equal(stats.height, { min: 1, median: 3.5, max: 8 });
    assert.equal(stats.width, { min: 1, median: 3, max: 5 });
    assert.equal(steps, [
      [1, 4],
      [2, 4],
      [3, 4],
      [4, 4],
    ]);
  }));

test('photos of one colour have no deviation, to the last bit', () =>
  inDirectory(async (directory) => {
    const plain = encodeRgbPng({ height: 40, width: 30, pixels: new Uint8Array(3600).fill(200) });
    const mask = pngMask(40, 30, [1]);
    writeOxford(directory, [plain, plain, plain, plain], [mask, mask, mask, mask]);
    const { mean, std } = await measureTraining(open(directory), { workers: 1 });
    assert.equal(mean, [200 / 255, 200 / 255, 200 / 255]);
    assert.equal(std, [0, 0, 0]);
  }));

test('black and white in halves: mean and deviation 1/2', () =>
  inDirectory(async (directory) => {
    const pixels = new Uint8Array(6000).map((_, i) => (i < 3000 ? 0 : 255));
    const photo = encodeRgbPng({ height: 40, width: 50, pixels });
    const mask = pngMask(40, 50, [0, 255, 255, 255]);
    writeFiles(directory, { 'train/images/a.png': photo, 'train/masks/a.png': mask });
    const { mean, std, maskShares, notes } = await measureTraining(open(directory), { workers: 1 });
    assert.equal(
      [mean, std],
      [
        [0.5, 0.5, 0.5],
        [0.5, 0.5, 0.5],
      ],
    );
    assert.equal(maskShares, { foreground: 0.75, background: 0.25 });
    assert.match(notes.join('\n'), 'mask values {0, 255}');
  }));

test('bad files stop it, all named, or are left out and said', () =>
  inDirectory(async (directory) => {
    const good = pngPhoto(4, 4);
    const mask = pngMask(4, 4, [1]);
    writeOxford(directory, [good, good, Buffer.from('GIF89a'), good], [mask, mask, mask, pngMask(4, 5, [1])]);
    const message = await dataError(() => measureTraining(open(directory), { workers: 1 }));
    assert.match(message, '2 files cannot be used');
    assert.match(message, 'pet_2.jpg is a GIF file');
    assert.match(message, '--on-bad-file skip');
    const { photos, notes } = await measureTraining(open(directory, 'skip'), { workers: 1 });
    assert.is(photos, 1);
    assert.match(notes.join('\n'), 'left out');
    writeOxford(directory, [good], [mask]);
    assert.match(await dataError(() => measureTraining(open(directory), { workers: 1 })), 'no usable training photo');
  }));

test('the real photos: as a computation in two passes over all values', async () => {
  const real = join(root, '..', 'shared', 'data', 'oxford-iiit-pet');
  if (!existsSync(real)) return skip('the real photos are not at ../shared/data/oxford-iiit-pet');
  const dataset = open(real);
  // Every 80th training photo: all of them take half a minute.
  const samples = dataset.samples.filter(({ split }) => split === 'train').filter((_, i) => i % 80 === 0);
  const part: Dataset = { ...dataset, samples };
  const stats = await measureTraining(part, { workers: 1 });
  const photos = samples.map(
    ({ image }) => jpeg.decode(readFileSync(image), { useTArray: true, formatAsRGBA: false }).data,
  );
  const { mean, std } = twoPass(photos);
  assertClose(stats.mean, mean, 1e-9);
  assertClose(stats.std, std, 1e-9);
  const masks = samples.map(({ mask }) => PNG.sync.read(readFileSync(mask), { skipRescale: true } as object).data);
  const counts = [0, 0, 0, 0];
  for (const mask of masks) for (let i = 0; i < mask.length; i += 4) counts[mask[i]]++;
  const shares = [1, 2, 3].map((value) => counts[value] / stats.pixels);
  assert.equal(Object.values(stats.maskShares), shares);
  assert.is(
    stats.pixels,
    photos.reduce((sum, pixels) => sum + pixels.length / 3, 0),
  );
});

test.run();
