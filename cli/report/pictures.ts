/**
 * The pictures of a run, in `pictures/`: each epoch a few validation photos that stay the same, and at the end the test
 * photos that the net does worst, middling and best.
 *
 *     epoch-003.png               a sheet for people: photo, truth, prediction, difference
 *     epochs/NAME.jpg, 003/NAME.png     the same for the report: the photo, and what each pixel is (`masks.ts`)
 *     worst.png, median.png, best.png   sheets
 *     cases/NAME.jpg, NAME.png          the same for the report
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cache } from '../../data/cache.js';
import type { Photo } from '../../data/decode.js';
import { writeFileAtomic } from '../../data/files.js';
import { encodeJpeg } from '../../data/jpeg.js';
import { resizePhoto } from '../../data/resize.js';
import type { Evaluator, PhotoScores, Prediction } from '../evaluation.js';
import type { RunFolder } from '../runFolder.js';
import type { Border } from '../settings.js';
import { type CaseGroup, chooseCases, splitWord } from './cases.js';
import { type ComparedMask, compareMasks, LEGEND, overlayPng, readOverlay, VIEWS } from './masks.js';
import { sheetPng } from './sheet.js';

/** Validation photos that each epoch shows, at most. */
const SHOWN = 6;
/** Of the worst, median and best photos. */
export const CASES = 8;
/** Photos are kept at the training size, but no larger than this: a report is to be sent around. */
const LARGEST = 256;
const JPEG_QUALITY = 80;

/** A photo with what was made of it. */
export interface Panel {
  name: string;
  /** JPEG, as the net sees it: square. */
  photo: Buffer;
  mask: ComparedMask;
}

/** The same validation photos for every epoch of a run, spread over the split, as indices into `cache.samples`. */
export function shownSamples(valid: readonly number[], batchSize: number): number[] {
  const batch = Math.min(batchSize, valid.length);
  // Whole batches, where these are small: a smaller one would need a plan, and memory, of its own.
  const count = batch >= SHOWN ? SHOWN : SHOWN - (SHOWN % batch);
  const all = Math.min(count, valid.length);
  return Array.from({ length: all }, (_, i) => valid[Math.floor((i * valid.length) / all)]);
}

/**
 * Predicts samples in batches of the size that the split is evaluated in, whose plan is there.
 * @param batchSize the run's
 */
async function predict(
  evaluator: Evaluator,
  cache: Cache,
  indices: readonly number[],
  batchSize: number,
  border: Border,
): Promise<Panel[]> {
  const split = cache.indices(cache.samples[indices[0]].split);
  const batch = Math.min(batchSize, split.length);
  const padding = new Array<number>((batch - (indices.length % batch)) % batch).fill(indices[0]);
  const panels: Panel[] = [];
  for await (const prediction of evaluator.predict(cache, [...indices, ...padding], batch)) {
    if (panels.length < indices.length) panels.push(panelOf(prediction, cache, border));
  }
  return panels;
}

function panelOf({ index, record, logits }: Prediction, cache: Cache, border: Border): Panel {
  const { height, width } = cache;
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => record[Math.floor(i / 3) * 4 + (i % 3)]);
  const photo = encodeJpeg(shrink({ height, width, pixels }), JPEG_QUALITY);
  return { name: cache.samples[index].name, photo, mask: compareMasks(record, logits, [height, width], border) };
}

function shrink(photo: Photo): Photo {
  const { height, width } = photo;
  return Math.max(height, width) <= LARGEST ? photo : resizePhoto(photo, LARGEST, LARGEST);
}

export interface PictureSource {
  folder: RunFolder;
  cache: Cache;
  evaluator: Evaluator;
  settings: { batchSize: number; border: Border };
}

/** Predicts the epoch's samples and writes its files. */
export async function writeEpochPictures(source: PictureSource, epoch: number): Promise<void> {
  const { folder, cache, evaluator, settings } = source;
  const shown = shownSamples(cache.indices('valid'), settings.batchSize);
  const panels = await predict(evaluator, cache, shown, settings.batchSize, settings.border);
  const pictures = folder.file('pictures');
  for (const { name, photo, mask } of panels) {
    const file = join(pictures, 'epochs', `${name}.jpg`);
    if (!existsSync(file)) writeFileAtomic(file, photo);
    writeFileAtomic(join(pictures, 'epochs', epochName(epoch), `${name}.png`), overlayPng(mask, 'difference'));
  }
  const title = `Validation photos after epoch ${epoch}`;
  const sheet = panelSheet(
    title,
    panels.map((panel) => ({ panel, caption: `${panel.name}: Dice ${maskDice(panel.mask).toFixed(4)}` })),
    128,
  );
  writeFileAtomic(join(pictures, `epoch-${epochName(epoch)}.png`), sheet);
}

/** Predicts the worst, median and best photos of a split and writes their files. */
export async function writeCases(
  source: PictureSource,
  split: 'valid' | 'test',
  photos: readonly PhotoScores[],
): Promise<void> {
  const { folder, cache, evaluator, settings } = source;
  const indexOf = new Map(cache.indices(split).map((index) => [cache.samples[index].name, index]));
  const pictures = folder.file('pictures');
  for (const { id, photos: own } of chooseCases(photos, CASES)) {
    if (own.length === 0) continue;
    const indices = own.map(({ name }) => indexOf.get(name)!);
    const panels = await predict(evaluator, cache, indices, settings.batchSize, settings.border);
    for (const { name, photo, mask } of panels) {
      writeFileAtomic(join(pictures, 'cases', `${name}.jpg`), photo);
      writeFileAtomic(join(pictures, 'cases', `${name}.png`), overlayPng(mask, 'difference'));
    }
    const rows = panels.map((panel, i) => ({
      panel,
      caption: `${panel.name}: Dice ${own[i].dice.toFixed(4)}, IoU ${own[i].iou.toFixed(4)}`,
    }));
    writeFileAtomic(join(pictures, `${id}.png`), panelSheet(groupTitle(id, split, own.length), rows, 192));
  }
}

/** "The 8 worst test photos by Dice". */
export function groupTitle(id: CaseGroup<unknown>['id'], split: 'valid' | 'test', count: number): string {
  const photos = `${splitWord(split)} photo${count === 1 ? '' : 's'}`;
  return count === 1 ? `The ${id} ${photos} by Dice` : `The ${count} ${id} ${photos} by Dice`;
}

function panelSheet(title: string, rows: readonly { panel: Panel; caption: string }[], cell: number): Buffer {
  return sheetPng({
    title,
    cell,
    legend: LEGEND,
    heads: ['photo', ...VIEWS],
    rows: rows.map(({ panel: { photo, mask }, caption }) => ({
      caption,
      cells: [[photo], ...VIEWS.map((view) => [photo, overlayPng(mask, view)])],
    })),
  });
}

/** Of the pixels that count; 1 where truth and prediction are empty. */
export function maskDice({ classes }: ComparedMask): number {
  const counts = [0, 0, 0, 0, 0];
  for (const one of classes) counts[one]++;
  const [, hit, missed, wrong] = counts;
  return hit + missed + wrong === 0 ? 1 : (2 * hit) / (2 * hit + missed + wrong);
}

const epochName = (epoch: number): string => String(epoch).padStart(3, '0');

/** A shown sample, and its masks by epoch. */
export interface SampleHistory {
  name: string;
  photo: Buffer;
  masks: Map<number, ComparedMask>;
}

/**
 * The samples of the epochs as far as they were written, of `most` epochs at most: the first, the last, and some between.
 * @param last later ones are left out: a resumed run has not come to them again
 */
export function readEpochPictures(folder: RunFolder, last: number, most: number): SampleHistory[] {
  const root = join(folder.file('pictures'), 'epochs');
  if (!existsSync(root)) return [];
  const epochs = readdirSync(root)
    .map(Number)
    .filter((epoch) => Number.isInteger(epoch) && epoch <= last)
    .sort((a, b) => a - b);
  const kept = pick(epochs, most);
  return photoNames(root).map((name) => {
    const masks = kept.flatMap((epoch) => {
      const file = join(root, epochName(epoch), `${name}.png`);
      return existsSync(file) ? [[epoch, readOverlay(readFileSync(file), file)] as const] : [];
    });
    return { name, photo: readFileSync(join(root, `${name}.jpg`)), masks: new Map(masks) };
  });
}

/** `most` of a list, evenly, the first and the last among them. */
function pick<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return [...list];
  return Array.from({ length: most }, (_, i) => list[Math.round((i * (list.length - 1)) / (most - 1))]);
}

/** Names of the photos below a folder; a name may hold slashes where a data set has folders. */
function photoNames(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.jpg'))
    .map((file) => file.slice(0, -'.jpg'.length).replaceAll('\\', '/'))
    .sort();
}

/** The panel of a case; undefined where it was not written. */
export function readCase(folder: RunFolder, name: string): Panel | undefined {
  const file = join(folder.file('pictures'), 'cases', name);
  if (!existsSync(`${file}.jpg`) || !existsSync(`${file}.png`)) return undefined;
  return { name, photo: readFileSync(`${file}.jpg`), mask: readOverlay(readFileSync(`${file}.png`), `${file}.png`) };
}
