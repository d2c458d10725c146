/** A data set: pairs of photo and mask, each in a split. `openDataset` recognises the layout of a directory. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { DataError, listNames, plural, type BadFile, type BadFilePolicy } from './errors.js';
import { isFolderLayout, openFolder } from './folder.js';
import { isOxfordPet, openOxfordPet } from './oxfordPet.js';

export type SplitName = 'train' | 'valid' | 'test';

/** One photo with its mask. `name` is unique within its split and has no file ending; paths are absolute. */
export interface Sample {
  name: string;
  split: SplitName;
  image: string;
  mask: string;
  /** Where the data set's lists have breeds: what the name begins with, such as Abyssinian or american_bulldog. */
  breed?: string;
}

/**
 * What mask values mean. `trimap`: 1 pet, 2 background, 3 border. `binary`: 0 background and one other value, which is
 * decided over all mask files together.
 */
export type MaskRule = 'trimap' | 'binary';

/** `unlisted`: no list names it. `unpaired`: a photo without a mask or the other way round. */
export interface UnusedFile extends BadFile {
  kind: 'unlisted' | 'unpaired photo' | 'unpaired mask';
}

export interface Dataset {
  /** Absolute path of the directory. */
  root: string;
  layout: 'oxford' | 'folder';
  maskRule: MaskRule;
  samples: Sample[];
  /** Files that the layout asks for and that are not there; treated as files that cannot be decoded are. */
  missing: BadFile[];
  /** Photos without a mask, and masks without a photo or that no list names: no sample holds them. */
  unused: UnusedFile[];
  onBadFile: BadFilePolicy;
  /** Lines for the user: how the directory was read. */
  notes: string[];
}

export interface OpenOptions {
  /** Decides the split of a folder that has none of its own. */
  seed: number;
  onBadFile: BadFilePolicy;
}

const expected = `expected one of
  the Oxford-IIIT Pet layout: images/, annotations/trimaps/, annotations/trainval.txt (and test.txt)
  a folder of pairs: images/ and masks/, paired by file name without its ending
  the same with its own split: train/, valid/ (or val/) and test/, each with images/ and masks/`;

/**
 * Opens a directory as a data set; reads names only, no picture. Throws DataError saying what was expected and what is
 * there.
 */
export function openDataset(path: string, options: OpenOptions): Dataset {
  const root = resolve(path);
  if (!existsSync(root)) throw new DataError(`data path ${path} does not exist; ${expected}`);
  if (!statSync(root).isDirectory()) throw new DataError(`data path ${path} is a file, not a directory; ${expected}`);
  if (isOxfordPet(root)) return openOxfordPet(root, options);
  if (isFolderLayout(root)) return openFolder(root, options);
  const present = readdirSync(root, { withFileTypes: true }).map(
    (entry) => entry.name + (entry.isDirectory() ? '/' : ''),
  );
  const inside = present.find(
    (name) => name.endsWith('/') && (isOxfordPet(join(root, name)) || isFolderLayout(join(root, name))),
  );
  const hint = inside ? `\nIts subdirectory ${inside} is one: did you mean ${join(path, inside)}?` : '';
  const found = present.length > 0 ? listNames(present.sort(), 12) : 'nothing';
  throw new DataError(`data path ${path} has no layout that is known; ${expected}\nIt contains ${found}.${hint}`);
}

/**
 * Treats files that cannot be used as the data set's `onBadFile` says: throws DataError naming all of them, or adds a
 * line to `notes` that says which are left out.
 */
export function applyPolicy(dataset: Dataset, bad: readonly BadFile[], notes: string[]): void {
  if (bad.length === 0) return;
  const unique = [...new Set(bad.map(({ file, reason }) => `${relative(dataset.root, file)} ${reason}`))];
  const list = listNames(unique);
  const count = plural(unique.length, 'file');
  if (dataset.onBadFile === 'skip') {
    notes.push(`left out with the other file of the pair, ${count}: ${list}`);
    return;
  }
  throw new DataError(
    `${dataset.root}: ${count} cannot be used: ${list}. ` +
      'Put readable JPEG or PNG in their place, or pass --on-bad-file skip to leave these photos out',
  );
}
