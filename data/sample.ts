/**
 * The sample that the project draws itself: synthetic animals in the Oxford-IIIT Pet layout, so that training works
 * with nothing downloaded.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Random } from '../engine/random.js';
import { drawPicture } from './drawing.js';
import { DataError } from './errors.js';
import { removeAbandoned, temporaryName } from './files.js';
import { encodeJpeg } from './jpeg.js';
import { encodeGreyPng, encodeRgbPng } from './png.js';

/** How many pictures, the range of their sides in pixels (both ends included), and the seed. */
export interface SampleSettings {
  count: number;
  minSize: number;
  maxSize: number;
  seed: number;
}

/** Goes up with every change of what is drawn. */
const sampleVersion = 2;
const markerName = 'drawn-sample.json';
const jpegQuality = 90;
// As in the real set, files named .jpg may be PNG, and every fifth photo is for the test. Here it is every second one:
// jpeg-js builds its tables anew for each picture, which takes most of the time of drawing the sample.
const pngEvery = 2;
const testEvery = 5;

/**
 * Draws the sample into `directory`, unless the same sample is there already; returns whether it drew. The directory
 * appears complete or not at all. Throws DataError when the directory holds anything but such a sample.
 */
export async function drawSample(
  directory: string,
  settings: SampleSettings,
  onProgress?: (done: number, total: number) => void,
): Promise<boolean> {
  const { count, minSize, maxSize, seed } = settings;
  if (!(count >= 1 && minSize >= 16 && maxSize >= minSize)) {
    throw new DataError(
      `a sample needs at least one picture, and sides from 16 pixels on; got ${count} of ${minSize} to ${maxSize}`,
    );
  }
  const root = resolve(directory);
  const marker = JSON.stringify({ sampleVersion, count, minSize, maxSize, seed });
  if (isThere(root, marker)) return false;

  mkdirSync(dirname(root), { recursive: true });
  removeAbandoned(root);
  const temporary = temporaryName(root);
  try {
    const annotations = join(temporary, 'annotations');
    mkdirSync(join(temporary, 'images'), { recursive: true });
    mkdirSync(join(annotations, 'trimaps'), { recursive: true });
    const lines: string[] = [];
    for (let i = 0; i < count; i++) {
      const random = new Random('sample', seed, i);
      const side = () => minSize + random.integer(maxSize - minSize + 1);
      const { photo, trimap, species } = drawPicture(side(), side(), seed, i);
      // The real set's rule: cats have a capital.
      const name = `${species === 'cat' ? 'Drawn_cat' : 'drawn_dog'}_${i + 1}`;
      const bytes = i % pngEvery === 1 ? encodeRgbPng(photo) : encodeJpeg(photo, jpegQuality);
      writeFileSync(join(temporary, 'images', `${name}.jpg`), bytes);
      writeFileSync(join(annotations, 'trimaps', `${name}.png`), encodeGreyPng(trimap, photo.height, photo.width));
      lines.push(species === 'cat' ? `${name} 1 1 1` : `${name} 2 2 1`);
      onProgress?.(i + 1, count);
      await setImmediate();
    }
    const isTest = (i: number) => i % testEvery === testEvery - 1;
    const write = (file: string, list: string[]) =>
      writeFileSync(join(annotations, file), list.map((line) => `${line}\n`).join(''));
    write('list.txt', ['#Image CLASS-ID SPECIES BREED ID', ...lines]);
    write(
      'trainval.txt',
      lines.filter((_, i) => !isTest(i)),
    );
    write(
      'test.txt',
      lines.filter((_, i) => isTest(i)),
    );
    writeFileSync(join(temporary, markerName), marker);
    if (!isThere(root, marker)) rmSync(root, { recursive: true, force: true });
    try {
      renameSync(temporary, root);
    } catch (error) {
      // Another process that put the same sample here meanwhile did as well.
      if (!isThere(root, marker)) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return true;
}

/**
 * True when the directory holds the sample of this marker; throws when it holds something that is not to be
 * overwritten.
 */
function isThere(root: string, marker: string): boolean {
  if (!existsSync(root)) return false;
  const file = join(root, markerName);
  if (existsSync(file)) return readFileSync(file, 'utf8') === marker;
  if (readdirSync(root).length === 0) return false;
  throw new DataError(
    `${root} is not empty and holds no drawn sample; it is left as it is. Choose another directory for the sample`,
  );
}
