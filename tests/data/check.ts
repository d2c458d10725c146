import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkDataset, type CheckReport } from '../../data/check.js';
import { dataError, gif, inDirectory, jpegPhoto, pngMask, pngPhoto, writeFiles } from '../helpers/data.js';

const test = suite('data/check');

const check = (directory: string) => checkDataset(directory, { seed: 0, workers: 1 });
const faultsOf = ({ faults }: CheckReport) => faults.map(({ kind, file }) => `${kind}: ${file}`);
const notesOf = ({ notes }: CheckReport) => notes.map(({ kind, file }) => `${kind}: ${file}`);

const trimap = pngMask(4, 6, [1, 2, 3]);

/** Photos that all differ, in the Oxford layout. */
function writeOxford(directory: string, trainval: readonly string[], tests: readonly string[]): void {
  const list = (names: readonly string[]) => names.map((name) => `${name} 1 1 1\n`).join('');
  writeFiles(directory, { 'annotations/trainval.txt': list(trainval), 'annotations/test.txt': list(tests) });
  for (const [i, name] of [...new Set([...trainval, ...tests])].entries()) {
    writeFiles(directory, {
      [`images/${name}.jpg`]: jpegPhoto(4, 6, [i * 30, 100, 50]),
      [`annotations/trimaps/${name}.png`]: trimap,
    });
  }
}

test('a clean data set has no fault', () =>
  inDirectory(async (directory) => {
    writeOxford(directory, ['a', 'b', 'c'], ['d']);
    const steps: number[] = [];
    const report = await checkDataset(directory, { seed: 0, workers: 1, onProgress: (done) => steps.push(done) });
    assert.equal(report.faults, []);
    assert.equal(report.notes, []);
    assert.is(report.layout, 'oxford');
    assert.is(report.files, 8);
    assert.equal(steps, [1, 2, 3, 4]);
    assert.match(report.summary.join('\n'), '2 training, 1 validation, 1 test');
  }));

test('every kind of fault is found in one go', () =>
  inDirectory(async (directory) => {
    writeOxford(directory, ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], ['i', 'b']);
    const broken = jpegPhoto(40, 60);
    writeFiles(directory, {
      'images/a.jpg': gif,
      'images/c.jpg': broken.subarray(0, broken.length / 2),
      'annotations/trimaps/d.png': pngMask(5, 6, [1, 2]),
      'annotations/trimaps/e.png': pngMask(4, 6, [0, 7, 255]),
      'annotations/trimaps/f.png': '',
      'annotations/trimaps/i.png': pngMask(6, 6, [9]),
    });
    rmSync(join(directory, 'images', 'g.jpg'));
    rmSync(join(directory, 'annotations', 'trimaps', 'g.png'));
    rmSync(join(directory, 'annotations', 'trimaps', 'h.png'));
    const report = await check(directory);
    assert.equal(faultsOf(report), [
      'size: annotations/trimaps/d.png',
      'values: annotations/trimaps/e.png',
      'unreadable: annotations/trimaps/f.png',
      'missing: annotations/trimaps/g.png',
      'missing: annotations/trimaps/h.png',
      'size: annotations/trimaps/i.png',
      'values: annotations/trimaps/i.png',
      'unreadable: images/a.jpg',
      'in two splits: images/b.jpg',
      'unreadable: images/c.jpg',
      'missing: images/g.jpg',
    ]);
    const reasonOf = (file: string) => report.faults.find((fault) => fault.file === file)?.reason;
    assert.match(reasonOf('images/a.jpg')!, 'is a GIF file, not JPEG or PNG');
    assert.match(reasonOf('images/c.jpg')!, 'damaged');
    assert.is(reasonOf('annotations/trimaps/d.png'), 'has 6x5, but its photo images/d.jpg has 6x4 pixels');
    assert.match(reasonOf('annotations/trimaps/e.png')!, /0 \(8 pixels\), 7 \(8 pixels\), 255 \(8 pixels\)/);
    assert.match(reasonOf('images/b.jpg')!, 'is listed 2 times: train, test; what is learnt from must not be scored');
    assert.equal(notesOf(report), ['type: images/a.jpg']);
  }));

test('a name twice in one list, and photos of the same bytes in one split or two', () =>
  inDirectory(async (directory) => {
    writeOxford(directory, ['a', 'b', 'c', 'c', 'd'], ['e']);
    const photo = pngPhoto(4, 6, 3);
    writeFiles(directory, { 'images/b.jpg': photo, 'images/d.jpg': photo, 'images/e.jpg': photo });
    const report = await check(directory);
    assert.equal(
      report.faults.map(({ kind, file, reason }) => `${kind}: ${file} ${reason}`),
      [
        'duplicate: images/b.jpg (train) has the same bytes as images/d.jpg (train), images/e.jpg (test); ' +
          'what is learnt from must not be scored',
        'listed twice: images/c.jpg is listed 2 times: train, train',
      ],
    );
    assert.is(report.files, 10);
    writeFiles(directory, { 'images/e.jpg': pngPhoto(4, 6, 4) });
    const within = (await check(directory)).faults[0];
    assert.is(within.reason, '(train) has the same bytes as images/d.jpg (train)');
    assert.equal(notesOf(report), ['type: images/b.jpg', 'type: images/d.jpg', 'type: images/e.jpg']);
  }));

test('what no list names, debris, and PNG named .jpg are no faults', () =>
  inDirectory(async (directory) => {
    writeOxford(directory, ['a', 'b'], []);
    writeFiles(directory, {
      'images/a.jpg': pngPhoto(4, 6),
      'images/z.jpg': gif,
      'images/z.mat': 'x',
      'images/._a.jpg': 'x',
      'annotations/trimaps/z.png': trimap,
      'annotations/trimaps/._a.png': 'x',
    });
    const report = await check(directory);
    assert.equal(report.faults, []);
    assert.equal(notesOf(report), [
      'unlisted: annotations/trimaps/z.png',
      'type: images/a.jpg',
      'unlisted: images/z.jpg',
      'type: images/z.jpg',
    ]);
    assert.is(report.notes[3].reason, 'is a GIF file by its first bytes');
  }));

test('a folder of pairs: partners, values that stand out, one name in two splits', () =>
  inDirectory(async (directory) => {
    for (const name of ['a', 'b', 'c', 'd']) {
      writeFiles(join(directory, 'train'), {
        [`images/${name}.png`]: pngPhoto(4, 6, name.charCodeAt(0)),
        [`masks/${name}.png`]: pngMask(4, 6, [0, 255]),
      });
    }
    writeFiles(directory, {
      'valid/images/a.png': pngPhoto(4, 6),
      'valid/masks/a.png': pngMask(4, 6, [0]),
    });
    const clean = await check(directory);
    assert.equal(clean.faults, []);
    assert.equal(notesOf(clean), ['same name in two splits: train/images/a.png']);
    writeFiles(directory, {
      'train/images/alone.png': pngPhoto(4, 6, 50),
      'train/masks/other.png': pngMask(4, 6, [0]),
      'train/masks/c.png': pngMask(4, 6, [0, 128, 255]),
      'train/masks/d.png': pngMask(4, 6, [0, 1]),
    });
    const report = await check(directory);
    assert.equal(faultsOf(report), [
      'values: .',
      'missing: train/images/alone.png',
      'values: train/masks/c.png',
      'values: train/masks/d.png',
    ]);
    assert.is(report.faults[3].reason, 'holds the values 0 (12 pixels), 1 (12 pixels)');
    assert.ok(notesOf(report).includes('unpaired mask: train/masks/other.png'));
  }));

test('a folder that cannot be read as a whole is a fault, no data set at all is an error', () =>
  inDirectory(async (directory) => {
    mkdirSync(join(directory, 'annotations', 'trimaps'), { recursive: true });
    const report = await check(directory);
    assert.equal(faultsOf(report), ['layout: .']);
    assert.match(report.faults[0].reason, 'images is not there');
    assert.is(report.layout, undefined);
    assert.match(await dataError(() => check(join(directory, 'annotations'))), 'no layout that is known');
    assert.match(await dataError(() => check(join(directory, 'none'))), 'does not exist');
  }));

test.run();
