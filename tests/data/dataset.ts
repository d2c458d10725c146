import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openDataset, type Dataset, type SplitName } from '../../data/dataset.js';
import { dataError, inDirectory, root, writeFiles } from '../helpers/data.js';
import { skip } from '../helpers/skip.js';

const test = suite('data/dataset');

const open = (directory: string, options: { seed?: number; onBadFile?: 'stop' | 'skip' } = {}) =>
  openDataset(directory, { seed: 0, onBadFile: 'stop', ...options });
const namesOf = (dataset: Dataset, split: SplitName) =>
  dataset.samples.filter((sample) => sample.split === split).map((sample) => sample.name);
const notesOf = (dataset: Dataset) => dataset.notes.join('\n');
/** Empty files: opening reads names only. */
const empty = (...names: string[]) => Object.fromEntries(names.map((name) => [name, '']));

/** An Oxford directory whose lists name these, with a photo and a trimap each. */
function writeOxford(directory: string, trainval: string[], test: string[]): void {
  const line = (name: string) => `${name} 1 1 1\n`;
  writeFiles(directory, {
    'annotations/trainval.txt': trainval.map(line).join(''),
    'annotations/test.txt': test.map(line).join(''),
    ...empty(...[...trainval, ...test].flatMap((name) => [`images/${name}.jpg`, `annotations/trimaps/${name}.png`])),
  });
}

test('Oxford: every tenth line from the first is for validation', () =>
  inDirectory((directory) => {
    const trainval = Array.from({ length: 21 }, (_, i) => `pet_${i}`);
    writeOxford(directory, trainval, ['cat_1', 'cat_2']);
    const dataset = open(directory);
    assert.is(dataset.layout, 'oxford');
    assert.equal(namesOf(dataset, 'valid'), ['pet_0', 'pet_10', 'pet_20']);
    assert.equal(
      namesOf(dataset, 'train'),
      trainval.filter((_, i) => i % 10 !== 0),
    );
    assert.equal(namesOf(dataset, 'test'), ['cat_1', 'cat_2']);
    assert.match(notesOf(dataset), '18 training, 3 validation, 2 test');
  }));

test('Oxford: debris and .mat files are ignored, photos in no list are counted', () =>
  inDirectory((directory) => {
    writeOxford(directory, ['a', 'b'], ['c']);
    writeFiles(
      directory,
      empty('images/a.mat', 'images/._b.jpg', 'annotations/trimaps/._a.png', 'images/z.jpg', 'images/y.jpg'),
    );
    const dataset = open(directory);
    assert.is(dataset.samples.length, 3);
    assert.match(notesOf(dataset), '2 photos in images/ in no list, not used: y.jpg, z.jpg');
    assert.not.match(notesOf(dataset), '._');
    assert.not.match(notesOf(dataset), '.mat');
  }));

test('Oxford: comments, blank lines and Windows line ends do not count as lines', () =>
  inDirectory((directory) => {
    writeOxford(directory, ['a', 'b'], []);
    writeFiles(directory, { 'annotations/trainval.txt': '#Image CLASS\r\n\r\na 1 1 1\r\nb 1 1 1\r\n' });
    const dataset = open(directory);
    assert.equal([namesOf(dataset, 'valid'), namesOf(dataset, 'train')], [['a'], ['b']]);
  }));

test('Oxford: a name is the breed and a number, where the list has classes', () =>
  inDirectory((directory) => {
    writeOxford(directory, ['american_bulldog_10', 'Abyssinian_100'], []);
    const list = (lines: string) => writeFiles(directory, { 'annotations/trainval.txt': lines });
    const breeds = () => open(directory).samples.map(({ breed }) => breed);
    list('american_bulldog_10 2 2 1\nAbyssinian_100 1 1 1\n');
    assert.equal(breeds(), ['american_bulldog', 'Abyssinian']);
    list('american_bulldog_10\nAbyssinian_100\n');
    assert.equal(breeds(), [undefined, undefined]);
  }));

test('Oxford: missing photos and trimaps are known, and do not move the split', () =>
  inDirectory((directory) => {
    const trainval = Array.from({ length: 12 }, (_, i) => `pet_${i}`);
    writeOxford(directory, trainval, []);
    writeFiles(directory, {
      'annotations/trainval.txt': ['gone', ...trainval].map((name) => `${name} 1 1 1\n`).join(''),
    });
    const dataset = open(directory);
    assert.equal(namesOf(dataset, 'valid'), ['pet_9']);
    assert.equal(
      dataset.missing.map(({ file }) => basename(file)),
      ['gone.jpg', 'gone.png'],
    );
  }));

test('Oxford: a photo in both lists is said, a path in a list is refused', () =>
  inDirectory(async (directory) => {
    writeOxford(directory, ['a', 'b'], ['b']);
    assert.match(notesOf(open(directory)), 'in trainval.txt and test.txt both: b');
    writeFiles(directory, { 'annotations/test.txt': '../../secret 1 1 1\n' });
    assert.match(await dataError(() => open(directory)), 'not the plain name');
  }));

test('Oxford: a missing part is named', () =>
  inDirectory(async (directory) => {
    writeFiles(directory, empty('annotations/trimaps/a.png'));
    assert.match(await dataError(() => open(directory)), 'images is not there');
    writeFiles(directory, empty('images/a.jpg'));
    assert.match(await dataError(() => open(directory)), 'trainval.txt is not there');
  }));

test('what has no known layout is told what was expected and what is there', () =>
  inDirectory(async (directory) => {
    assert.match(await dataError(() => open(join(directory, 'none'))), 'does not exist');
    writeFiles(directory, { 'notes.txt': 'x', ...empty('pets/images/a.jpg', 'pets/masks/a.png') });
    const error = await dataError(() => open(directory));
    assert.match(error, 'expected one of');
    assert.match(error, 'It contains notes.txt, pets/');
    assert.match(error, `did you mean ${join(directory, 'pets/')}`);
    assert.match(await dataError(() => open(join(directory, 'notes.txt'))), 'is a file');
  }));

const pairs = (count: number, suffix = '') =>
  empty(...Array.from({ length: count }, (_, i) => [`images/photo${i}.jpg`, `masks/photo${i}${suffix}.png`]).flat());

test('folder: split by the seed, not by the order of files', () =>
  inDirectory((directory) => {
    writeFiles(directory, pairs(40));
    const dataset = open(directory);
    assert.is(dataset.layout, 'folder');
    const splits = (['train', 'valid', 'test'] as const).map((split) => namesOf(dataset, split));
    assert.equal(
      splits.map((names) => names.length),
      [32, 4, 4],
    );
    assert.equal(new Set(splits.flat()).size, 40);
    assert.match(notesOf(dataset), '32 training, 4 validation, 4 test photos (split 80/10/10 by seed 0)');
    assert.equal(open(directory).samples, dataset.samples);
    assert.not.equal(namesOf(open(directory, { seed: 1 }), 'valid'), splits[1]);
  }));

test('folder: two photos give one for validation, one photo none', () =>
  inDirectory((directory) => {
    writeFiles(directory, pairs(1));
    assert.is(namesOf(open(directory), 'train').length, 1);
    writeFiles(directory, pairs(2));
    const dataset = open(directory);
    assert.equal([namesOf(dataset, 'train').length, namesOf(dataset, 'valid').length], [1, 1]);
  }));

test('folder: its own split is used', () =>
  inDirectory((directory) => {
    writeFiles(directory, empty('train/images/a.jpg', 'train/masks/a.png', 'train/images/b.jpg', 'train/masks/b.png'));
    writeFiles(directory, empty('val/images/a.jpg', 'val/masks/a.png', 'test/images/c.jpg', 'test/masks/c.png'));
    const dataset = open(directory);
    assert.equal(namesOf(dataset, 'train'), ['train/a', 'train/b']);
    assert.equal(namesOf(dataset, 'valid'), ['val/a']);
    assert.equal(namesOf(dataset, 'test'), ['test/c']);
    assert.match(notesOf(dataset), 'train/, val/, test/');
  }));

test('folder: train/ without valid/ gives up a tenth of its photos', () =>
  inDirectory((directory) => {
    writeFiles(join(directory, 'train'), pairs(20));
    const dataset = open(directory);
    assert.equal([namesOf(dataset, 'train').length, namesOf(dataset, 'valid').length], [18, 2]);
  }));

test('folder: pairing by whole names: train1 is not train10', () =>
  inDirectory((directory) => {
    writeFiles(directory, empty('images/train1.jpg', 'images/train10.jpg', 'masks/train10.png', 'masks/train1.png'));
    const pairsOf = (dataset: Dataset) => dataset.samples.map(({ image, mask }) => [basename(image), basename(mask)]);
    assert.equal(pairsOf(open(directory)), [
      ['train1.jpg', 'train1.png'],
      ['train10.jpg', 'train10.png'],
    ]);
  }));

test('folder: a suffix of the masks is found and said', () =>
  inDirectory((directory) => {
    writeFiles(directory, pairs(12, '_mask'));
    const dataset = open(directory);
    assert.is(dataset.samples.length, 12);
    assert.match(notesOf(dataset), 'mask names end in "_mask"');
    const one = dataset.samples.find(({ name }) => name === 'photo1')!;
    assert.is(basename(one.mask), 'photo1_mask.png');
  }));

test('folder: both lists of files without partner are shown', () =>
  inDirectory(async (directory) => {
    writeFiles(directory, pairs(3));
    writeFiles(directory, empty('images/train1.jpg', 'masks/train10.png'));
    const error = await dataError(() => open(directory));
    assert.match(error, '1 image without a mask: images/train1.jpg');
    assert.match(error, '1 mask without an image: masks/train10.png');
    assert.match(error, '--on-bad-file skip');
    const skipped = open(directory, { onBadFile: 'skip' });
    assert.is(skipped.samples.length, 3);
    assert.match(notesOf(skipped), /left out, unpaired: .*train1\.jpg; .*train10\.png/);
  }));

test('folder: masks without an image are only said', () =>
  inDirectory((directory) => {
    writeFiles(directory, { ...pairs(3), ...empty('masks/extra.png') });
    assert.match(notesOf(open(directory)), '1 mask without an image: masks/extra.png');
  }));

test('folder: no pair at all is an error under skip too', () =>
  inDirectory(async (directory) => {
    writeFiles(directory, empty('images/a.jpg', 'masks/b.png'));
    assert.match(await dataError(() => open(directory, { onBadFile: 'skip' })), 'holds no pair');
  }));

test('folder: hidden files do not count, other files are said, one name twice is an error', () =>
  inDirectory(async (directory) => {
    writeFiles(directory, {
      ...pairs(2),
      ...empty('images/._photo0.jpg', 'masks/.DS_Store', 'images/readme.txt', 'masks/old/a.png'),
    });
    const dataset = open(directory);
    assert.is(dataset.samples.length, 2);
    assert.match(notesOf(dataset), 'readme.txt');
    assert.match(notesOf(dataset), 'old');
    assert.not.match(notesOf(dataset), 'DS_Store');
    writeFiles(directory, empty('images/photo0.png'));
    assert.match(await dataError(() => open(directory)), 'have the same name without ending');
  }));

test('the real photos: the split of the lists, two photos in no list', () => {
  const real = join(root, '..', 'shared', 'data', 'oxford-iiit-pet');
  if (!existsSync(real)) return skip('the real photos are not at ../shared/data/oxford-iiit-pet');
  const dataset = open(real);
  assert.equal(
    (['train', 'valid', 'test'] as const).map((split) => namesOf(dataset, split).length),
    [320, 36, 187],
  );
  assert.is(dataset.missing.length, 0);
  assert.match(notesOf(dataset), 'Abyssinian_34.jpg, Abyssinian_82.jpg');
});

test.run();
