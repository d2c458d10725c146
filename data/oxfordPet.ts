/**
 * Oxford-IIIT Pet in its original layout: images/NAME.jpg, annotations/trimaps/NAME.png and the lists
 * annotations/trainval.txt and test.txt with lines `NAME CLASS-ID SPECIES BREED-ID`. Only what a list names is used.
 * Line i of trainval.txt, from 0, is for validation when i % 10 == 0 and for training otherwise. Source: O. M. Parkhi
 * et al., "Cats and Dogs", CVPR 2012.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Dataset, OpenOptions, Sample, SplitName, UnusedFile } from './dataset.js';
import { DataError, listNames, plural, type BadFile } from './errors.js';
import { isHidden } from './files.js';

const trimapFolder = join('annotations', 'trimaps');
const trainvalList = join('annotations', 'trainval.txt');
const testList = join('annotations', 'test.txt');

/** True when the directory has the trimaps or the training list of this layout. */
export function isOxfordPet(root: string): boolean {
  return existsSync(join(root, trimapFolder)) || existsSync(join(root, trainvalList));
}

interface Listed {
  name: string;
  breed?: string;
}

/**
 * The lines of a list file in order; empty ones and those that begin with # do not count. Where a line has a class, the
 * photo's name is the breed with a number behind it.
 */
function readList(file: string): Listed[] {
  const lines = readFileSync(file, 'utf8').split(/\r?\n/);
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([name]) => name !== '' && !name.startsWith('#'))
    .map(([name, classId]) => (classId === undefined ? { name } : { name, breed: name.replace(/_\d+$/, '') }));
}

export function openOxfordPet(root: string, { onBadFile }: OpenOptions): Dataset {
  for (const part of ['images', trimapFolder, trainvalList]) {
    if (!existsSync(join(root, part))) {
      throw new DataError(
        `${root} looks like Oxford-IIIT Pet, but ${part} is not there; ` +
          'unpack images.tar.gz and annotations.tar.gz into it',
      );
    }
  }
  const notes: string[] = [];
  const trainval = readList(join(root, trainvalList));
  const hasTest = existsSync(join(root, testList));
  const test = hasTest ? readList(join(root, testList)) : [];
  if (trainval.length === 0) throw new DataError(`${join(root, trainvalList)} names no photo; it is empty or damaged`);
  if (!hasTest) notes.push(`${testList} is not there: no test split`);

  const sample = ({ name, breed }: Listed, split: SplitName): Sample => {
    if (/[\\/]/.test(name))
      throw new DataError(`${root}: a list names "${name}", which is not the plain name of a photo`);
    const files = { image: join(root, 'images', `${name}.jpg`), mask: join(root, trimapFolder, `${name}.png`) };
    return { name, split, ...files, ...(breed === undefined ? {} : { breed }) };
  };
  const listed = [
    ...trainval.map((listed, i) => sample(listed, i % 10 === 0 ? 'valid' : 'train')),
    ...test.map((listed) => sample(listed, 'test')),
  ];
  noteRepeated(trainval, test, notes);

  const photos = new Set(readdirSync(join(root, 'images')).filter((name) => !isHidden(name) && name.endsWith('.jpg')));
  const trimaps = new Set(
    readdirSync(join(root, trimapFolder)).filter((name) => !isHidden(name) && name.endsWith('.png')),
  );
  const missing = new Map<string, BadFile>();
  const samples = listed.filter(({ name, image, mask }) => {
    const photo = photos.has(`${name}.jpg`);
    const trimap = trimaps.has(`${name}.png`);
    if (!photo) missing.set(image, { file: image, reason: 'is in a list but not there' });
    if (!trimap) missing.set(mask, { file: mask, reason: 'is in a list but not there' });
    return photo && trimap;
  });
  const count = (split: SplitName) => listed.filter((one) => one.split === split).length;
  notes.unshift(
    `Oxford-IIIT Pet: ${count('train')} training, ${count('valid')} validation, ${count('test')} test photos`,
  );
  for (const { name } of listed) {
    photos.delete(`${name}.jpg`);
    trimaps.delete(`${name}.png`);
  }
  if (photos.size > 0) {
    notes.push(`${plural(photos.size, 'photo')} in images/ in no list, not used: ${listNames([...photos].sort(), 10)}`);
  }
  const unused: UnusedFile[] = [
    ...[...photos].sort().map((name) => join(root, 'images', name)),
    ...[...trimaps].sort().map((name) => join(root, trimapFolder, name)),
  ].map((file) => ({ file, kind: 'unlisted', reason: 'is in no list, not used' }));
  return {
    root,
    layout: 'oxford',
    maskRule: 'trimap',
    samples,
    missing: [...missing.values()],
    unused,
    onBadFile,
    notes,
  };
}

function noteRepeated(trainval: readonly Listed[], test: readonly Listed[], notes: string[]): void {
  const known = new Set(trainval.map(({ name }) => name));
  const shared = test.map(({ name }) => name).filter((name) => known.has(name));
  if (shared.length > 0)
    notes.push(`in trainval.txt and test.txt both: ${listNames(shared, 10)}; the test score is too good by that`);
}
