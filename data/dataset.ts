/** A data set: pairs of photo and mask, each in a split. `openDataset` recognises the layout of a directory. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DataError, listNames, type BadFile, type BadFilePolicy } from './errors.js';
import { isFolderLayout, openFolder } from './folder.js';
import { isOxfordPet, openOxfordPet } from './oxfordPet.js';

export type SplitName = 'train' | 'valid' | 'test';

/** One photo with its mask. `name` is unique within its split and has no file ending; paths are absolute. */
export interface Sample {
  name: string;
  split: SplitName;
  image: string;
  mask: string;
}

/**
 * What mask values mean. `trimap`: 1 pet, 2 background, 3 border. `binary`: 0 background and one other value, which is
 * decided over all mask files together.
 */
export type MaskRule = 'trimap' | 'binary';

export interface Dataset {
  /** Absolute path of the directory. */
  root: string;
  layout: 'oxford' | 'folder';
  maskRule: MaskRule;
  samples: Sample[];
  /** Files that the layout asks for and that are not there; treated as files that cannot be decoded are. */
  missing: BadFile[];
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
