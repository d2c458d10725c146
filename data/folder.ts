/**
 * Any folder of pairs: images/ and masks/, paired by file name without its ending. Mask names may carry one common
 * suffix (`cat_mask.png` for `cat.jpg`). The split is the folder's own (train/, valid/ or val/, test/) or drawn from
 * the seed.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { Random } from '../engine/random.js';
import type { Dataset, OpenOptions, Sample, SplitName, UnusedFile } from './dataset.js';
import { DataError, listNames, plural } from './errors.js';
import { isHidden } from './files.js';

// Kinds that cannot be decoded are here so that they are reported as such instead of as files without a partner.
const pictureEndings = new Set(['.jpg', '.jpeg', '.png', '.gif', '.bmp', '.tif', '.tiff', '.webp']);
const splitFolders: [folder: string, split: SplitName][] = [
  ['train', 'train'],
  ['valid', 'valid'],
  ['val', 'valid'],
  ['test', 'test'],
];
const validShare = 0.1;
const testShare = 0.1;

const isPairFolder = (path: string) => existsSync(join(path, 'images')) && existsSync(join(path, 'masks'));

/** True when the directory, or a train/ in it, has images/ and masks/. */
export function isFolderLayout(root: string): boolean {
  return isPairFolder(root) || isPairFolder(join(root, 'train'));
}

export function openFolder(root: string, { seed, onBadFile }: OpenOptions): Dataset {
  const notes: string[] = [];
  const pairing = new Pairing(notes);
  const own = splitFolders.filter(([folder]) => isPairFolder(join(root, folder)));
  const samples: Sample[] = [];
  for (const [folder, split] of own.length > 0 ? own : ([['', 'train']] as typeof splitFolders)) {
    for (const [name, image, mask] of pairing.pairs(join(root, folder))) {
      samples.push({ name: folder ? `${folder}/${name}` : name, split, image, mask });
    }
  }
  pairing.report(root, onBadFile, samples.length);
  if (own.length === 0) splitAll(samples, seed);
  else if (!own.some(([, split]) => split === 'valid')) splitValid(samples, seed);
  const count = (split: SplitName) => samples.filter((one) => one.split === split).length;
  const how =
    own.length === 0
      ? `split 80/10/10 by seed ${seed}`
      : own.map(([folder]) => `${folder}/`).join(', ') + (count('valid') > 0 ? '' : ', no validation photos');
  notes.unshift(
    `folder of pairs: ${count('train')} training, ${count('valid')} validation, ${count('test')} test photos (${how})`,
  );
  return {
    root,
    layout: 'folder',
    maskRule: 'binary',
    samples,
    missing: [],
    unused: pairing.unused(),
    onBadFile,
    notes,
  };
}

/**
 * 10 % for validation (at least one of two or more), 10 % for the test, the rest for training; by the seed, not by the
 * order of the files.
 */
function splitAll(samples: Sample[], seed: number): void {
  const order = new Random('split', seed).shuffle(samples.map((_, i) => i));
  const valid = samples.length < 2 ? 0 : Math.max(1, Math.round(samples.length * validShare));
  const test = Math.floor(samples.length * testShare);
  for (const i of order.slice(0, valid)) samples[i].split = 'valid';
  for (const i of order.slice(valid, valid + test)) samples[i].split = 'test';
}

/** A folder with train/ but no valid/ gives up 10 % of its training photos. */
function splitValid(samples: Sample[], seed: number): void {
  const train = samples.filter((one) => one.split === 'train');
  if (train.length < 2) return;
  const order = new Random('split', seed).shuffle(train);
  for (const sample of order.slice(0, Math.max(1, Math.round(train.length * validShare)))) sample.split = 'valid';
}

/** Pairs files of one or more images/ + masks/ folders and collects what stays alone. */
class Pairing {
  private readonly alone = { images: [] as string[], masks: [] as string[] };

  constructor(private readonly notes: string[]) {}

  /** Name, photo path and mask path of each pair in `folder`, sorted by name. */
  pairs(folder: string): [name: string, image: string, mask: string][] {
    const images = this.pictures(join(folder, 'images'));
    const masks = this.pictures(join(folder, 'masks'));
    const suffix = commonSuffix(images, masks);
    if (suffix !== '') this.notes.push(`mask names end in "${suffix}" in ${join(folder, 'masks')}`);
    const result: [string, string, string][] = [];
    const used = new Set<string>();
    for (const [stem, image] of images) {
      const mask = masks.get(stem + suffix);
      if (mask === undefined) {
        this.alone.images.push(image);
        continue;
      }
      used.add(stem + suffix);
      result.push([stem, image, mask]);
    }
    for (const [stem, mask] of masks) if (!used.has(stem)) this.alone.masks.push(mask);
    return result;
  }

  /** Ends with an error, or says in the notes, what could not be paired; ends with an error when no pair is left. */
  report(root: string, onBadFile: OpenOptions['onBadFile'], pairCount: number): void {
    const { images, masks } = this.alone;
    const list = (files: string[]) => listNames(files.map((file) => file.slice(root.length + 1)));
    const imageList = images.length > 0 ? `${plural(images.length, 'image')} without a mask: ${list(images)}` : '';
    const maskList = masks.length > 0 ? `${plural(masks.length, 'mask')} without an image: ${list(masks)}` : '';
    const both = [imageList, maskList].filter((line) => line !== '').join('\n');
    if (pairCount === 0) throw new DataError(`${root} holds no pair of image and mask${both && `\n${both}`}`);
    if (both === '') return;
    if (images.length > 0 && onBadFile === 'stop') {
      throw new DataError(
        `${root}: not every image has a mask\n${both}\n` +
          'Give each image a mask of the same name, or pass --on-bad-file skip to leave these images out',
      );
    }
    this.notes.push(`left out, unpaired: ${both.replace('\n', '; ')}`);
  }

  /** The same as `report` says, file by file. */
  unused(): UnusedFile[] {
    const { images, masks } = this.alone;
    return [
      ...images.map((file) => ({ file, kind: 'unpaired photo', reason: 'has no mask of its name' }) as const),
      ...masks.map((file) => ({ file, kind: 'unpaired mask', reason: 'has no image of its name, not used' }) as const),
    ];
  }

  /** Picture files of a folder by name without ending, sorted; other files and folders are noted. */
  private pictures(folder: string): Map<string, string> {
    const result = new Map<string, string>();
    const others: string[] = [];
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (isHidden(entry.name)) continue;
      const file = join(folder, entry.name);
      const ending = extname(entry.name);
      const isFile = entry.isFile() || (entry.isSymbolicLink() && statSync(file, { throwIfNoEntry: false })?.isFile());
      if (!isFile || !pictureEndings.has(ending.toLowerCase())) {
        others.push(entry.name);
        continue;
      }
      const stem = entry.name.slice(0, entry.name.length - ending.length);
      const twin = result.get(stem);
      if (twin !== undefined) {
        throw new DataError(
          `${twin} and ${file} have the same name without ending; pairing by name needs one of them gone or renamed`,
        );
      }
      result.set(stem, file);
    }
    if (others.length > 0) this.notes.push(`not pictures, not used in ${folder}: ${listNames(others, 10)}`);
    return result;
  }
}

/**
 * The suffix by which most mask names continue the name of an image: '' when they are equal. Only endings that begin
 * with neither a letter nor a digit count, so `train10` is never taken for `train1` with the suffix `0`.
 */
function commonSuffix(images: ReadonlyMap<string, string>, masks: ReadonlyMap<string, string>): string {
  const votes = new Map<string, number>();
  for (const mask of masks.keys()) {
    for (let length = 1; length <= mask.length; length++) {
      const suffix = mask.slice(length);
      if (!/^[\p{L}\p{N}]/u.test(suffix) && images.has(mask.slice(0, length)))
        votes.set(suffix, (votes.get(suffix) ?? 0) + 1);
    }
  }
  let best = '';
  for (const [suffix, count] of votes) {
    const lead = count - (votes.get(best) ?? 0);
    if (lead > 0 || (lead === 0 && suffix.length < best.length)) best = suffix;
  }
  return best;
}
