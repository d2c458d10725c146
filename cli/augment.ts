/** `trimap augment`: a picture of what the network sees, so that a person can judge the augmentation. */
import { writeFileSync } from 'node:fs';
import {
  augmentationFloats,
  augmentationStatistics,
  type AugmentSettings,
  identityAugmentation,
  sampleAugmentation,
} from '../data/augment.js';
import type { Cache } from '../data/cache.js';
import type { Photo } from '../data/decode.js';
import { DataError, plural } from '../data/errors.js';
import { drawOverlay, encodeRgbPng } from '../data/png.js';
import type { Device } from '../engine/device.js';
import { Graph } from '../engine/graph.js';
import { augmentImages } from '../engine/ops/augmentImages.js';
import { Plan } from '../engine/plan.js';
import { type DataSettings, loadData } from './dataLoading.js';
import type { Progress } from './progress.js';

export interface ContactSheet {
  augmentation: AugmentSettings;
  /** Of the run: sample i of epoch e looks as it does in training. */
  seed: number;
  /** Training photos shown, spread over the split, a row each. */
  photos: number;
  /** Augmented pictures of each, of the epochs 1, 2, ...; the photo itself comes before them. */
  draws: number;
  /** Mask bytes that are foreground; default 1 and 2. */
  foreground?: readonly number[];
}

export interface AugmentSheetSettings extends DataSettings, ContactSheet {
  /** PNG file that is written. */
  output: string;
  adapter?: string;
}

/** Pixels between pictures, and their grey. */
const GAP = 4;
const GAP_GREY = 32;

/** Writes the contact sheet of a data set; the exit code. */
export async function augment(settings: AugmentSheetSettings, progress: Progress): Promise<number> {
  const { augmentation, draws, output, adapter } = settings;
  const names = Object.entries(augmentation).flatMap(([name, value]) =>
    typeof value === 'object' ? [`${name} (p ${value.p})`] : [`border ${value}`],
  );
  progress.line(`augmentation: ${names.join(', ') || 'none'}`);
  const cache = await loadData(settings, progress);
  try {
    const { openDevice } = await import('../engine/dawn.js');
    const device = await openDevice({ adapter });
    try {
      progress.line(`adapter: ${device.description}`);
      const sheet = await drawContactSheet(device, cache, settings);
      writeSheet(output, sheet);
      const rows = (sheet.height + GAP) / (cache.height + GAP);
      const shown = `${plural(rows, 'photo')} with ${plural(draws, 'draw')} each, the mask's outline in red`;
      progress.result(`wrote ${output}: ${shown}`);
    } finally {
      device.close();
    }
  } finally {
    progress.clear();
    await cache.close();
  }
  return 0;
}

function writeSheet(output: string, sheet: Photo): void {
  try {
    writeFileSync(output, encodeRgbPng(sheet));
  } catch (error) {
    throw new DataError(`the contact sheet cannot be written: ${(error as Error).message}; choose another --output`);
  }
}

/** Rows of a photo and its augmented pictures, each with the outline of its mask, through the kernel of training. */
export async function drawContactSheet(device: Device, cache: Cache, settings: ContactSheet): Promise<Photo> {
  const { height, width } = cache;
  const { augmentation, seed, photos, draws, foreground } = settings;
  const all = cache.indices('train');
  const count = Math.min(photos, all.length);
  const chosen = Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]);

  const graph = new Graph();
  const columns = draws + 1;
  const pixels = graph.input('pixels', [columns, height, width], 'words');
  const parameters = graph.input('augmentation', [columns, augmentationFloats, 1, 1]);
  const statistics = augmentationStatistics(augmentation);
  const made = augmentImages(pixels, parameters, { mean: [0, 0, 0], std: [1, 1, 1], statistics, foreground });
  const plan = await Plan.compile(device, graph, { outputs: [made.image, made.mask] });
  const sheet = emptySheet(count, columns, height, width);
  try {
    const records = new Uint8Array(columns * cache.recordBytes);
    for (const [row, index] of chosen.entries()) {
      await cache.read(index, records.subarray(0, cache.recordBytes));
      for (let column = 1; column < columns; column++) {
        records.copyWithin(column * cache.recordBytes, 0, cache.recordBytes);
      }
      const drawn = Array.from({ length: draws }, (_, i) =>
        sampleAugmentation(augmentation, seed, i + 1, index, height, width),
      );
      plan.write(pixels, records);
      plan.write(parameters, Float32Array.from([identityAugmentation(), ...drawn].flatMap((one) => [...one])));
      plan.run();
      const [images, masks] = await plan.read(made.image, made.mask);
      for (let column = 0; column < columns; column++) {
        paste(sheet, pictureOf(images, masks, column, height, width), row, column);
      }
    }
  } finally {
    plan.destroy();
  }
  return sheet;
}

/** Picture `index` of a batch as bytes, with the outline of its mask. */
function pictureOf(images: Float32Array, masks: Float32Array, index: number, height: number, width: number): Photo {
  const area = height * width;
  const planes = images.subarray(3 * index * area, 3 * (index + 1) * area);
  const pixels = Uint8Array.from({ length: 3 * area }, (_, i) =>
    Math.round(255 * planes[(i % 3) * area + Math.floor(i / 3)]),
  );
  const mask = Uint8Array.from(masks.subarray(index * area, (index + 1) * area));
  return drawOverlay({ height, width, pixels }, mask, 0);
}

function emptySheet(rows: number, columns: number, height: number, width: number): Photo {
  const [sheetHeight, sheetWidth] = [rows * (height + GAP) - GAP, columns * (width + GAP) - GAP];
  return {
    height: sheetHeight,
    width: sheetWidth,
    pixels: new Uint8Array(sheetHeight * sheetWidth * 3).fill(GAP_GREY),
  };
}

function paste(sheet: Photo, picture: Photo, row: number, column: number): void {
  const top = row * (picture.height + GAP);
  const left = column * (picture.width + GAP);
  for (let y = 0; y < picture.height; y++) {
    const line = picture.pixels.subarray(y * picture.width * 3, (y + 1) * picture.width * 3);
    sheet.pixels.set(line, ((top + y) * sheet.width + left) * 3);
  }
}
