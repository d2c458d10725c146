import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDataset } from '../../data/dataset.js';
import { decodeMask, decodePhoto, fileType } from '../../data/decode.js';
import { drawPicture } from '../../data/drawing.js';
import { drawSample } from '../../data/sample.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('data/sample');

const settings = { count: 21, minSize: 32, maxSize: 48, seed: 5 };

function allFiles(directory: string): Map<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  const files = names.filter((name) => statSync(join(directory, name)).isFile());
  return new Map(files.map((name) => [name, readFileSync(join(directory, name), 'base64')]));
}

test('a sample opens as Oxford data, with PNG under a .jpg name, and is the same every time', () =>
  inDirectory(async (directory) => {
    const [first, second, other] = ['a', 'b', 'c'].map((name) => join(directory, 'deep', name));
    assert.is(await drawSample(first, settings), true);
    await drawSample(second, settings);
    await drawSample(other, { ...settings, count: 1, seed: 6 });
    assert.equal(allFiles(first), allFiles(second));
    const images = (path: string) => [...allFiles(join(path, 'images')).values()];
    assert.not.ok(images(first).includes(images(other)[0]));
    assert.equal(readdirSync(join(directory, 'deep')).sort(), ['a', 'b', 'c']);

    const { layout, samples, missing } = openDataset(first, { seed: 0, onBadFile: 'stop' });
    assert.equal([layout, samples.length, missing.length], ['oxford', 21, 0]);
    const count = (split: string) => samples.filter((sample) => sample.split === split).length;
    assert.equal([count('train'), count('valid'), count('test')], [15, 2, 4]);
    const types = new Set<string | undefined>();
    for (const { image, mask } of samples) {
      types.add(fileType(readFileSync(image)));
      const photo = decodePhoto(readFileSync(image), image);
      const trimap = decodeMask(readFileSync(mask), mask);
      assert.equal([photo.height, photo.width], [trimap.height, trimap.width]);
      assert.ok(Math.min(photo.height, photo.width) >= 32 && Math.max(photo.height, photo.width) <= 48);
      assert.equal([...new Set(trimap.values)].sort(), [1, 2, 3]);
    }
    assert.equal([...types].sort(), ['JPEG', 'PNG']);
  }));

test('it is drawn once, and again when the settings change', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'a');
    const progress: number[] = [];
    assert.is(await drawSample(path, { ...settings, count: 3 }, (done) => progress.push(done)), true);
    assert.equal(progress, [1, 2, 3]);
    assert.is(await drawSample(path, { ...settings, count: 3 }), false);
    assert.is(await drawSample(path, { ...settings, count: 2 }), true);
    assert.is(readdirSync(join(path, 'images')).length, 2);
    assert.equal(readdirSync(directory), ['a']);
  }));

test('two at once do not disturb each other', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'a');
    await Promise.all([drawSample(path, { ...settings, count: 2 }), drawSample(path, { ...settings, count: 2 })]);
    assert.is(await drawSample(path, { ...settings, count: 2 }), false);
    assert.equal(readdirSync(directory), ['a']);
  }));

test('a directory with anything else in it is left alone, an empty one is used', () =>
  inDirectory(async (directory) => {
    writeFileSync(join(directory, 'thesis.txt'), 'x');
    assert.match(await dataError(() => drawSample(directory, settings)), 'left as it is');
    mkdirSync(join(directory, 'empty'));
    assert.is(await drawSample(join(directory, 'empty'), { ...settings, count: 1 }), true);
    assert.match(
      await dataError(() => drawSample(join(directory, 'b'), { ...settings, count: 0 })),
      'at least one picture',
    );
  }));

test('the border is a band of about three pixels between animal and background', () => {
  const { trimap } = drawPicture(64, 80, 1);
  for (let i = 0; i < trimap.length; i++) {
    const right = i % 80 < 79 ? trimap[i + 1] : trimap[i];
    assert.ok(!(trimap[i] === 1 && right === 2) && !(trimap[i] === 2 && right === 1));
  }
});

test('animals cover a fair share, and no threshold of brightness or colour finds them', () => {
  const size = 48;
  const pictures = Array.from({ length: 20 }, (_, i) => drawPicture(size, size, 3, i));
  const animal = pictures.map(({ trimap }) => trimap.map((value) => (value === 2 ? 0 : 1)));
  const share = animal.flatMap((mask) => [...mask]).reduce<number>((sum, value) => sum + value, 0) / (20 * size * size);
  assert.ok(share > 0.2 && share < 0.5, `${share}`);
  /** Dice over all pictures of the pixels whose feature is over a threshold, or not over it. */
  const dice = (feature: (r: number, g: number, b: number) => number, threshold: number, above: boolean) => {
    let both = 0;
    let sum = 0;
    pictures.forEach(({ photo: { pixels } }, p) => {
      for (let i = 0; i < size * size; i++) {
        const guess = feature(pixels[i * 3], pixels[i * 3 + 1], pixels[i * 3 + 2]) > threshold === above ? 1 : 0;
        both += guess & animal[p][i];
        sum += guess + animal[p][i];
      }
    });
    return (2 * both) / sum;
  };
  const features = [
    (r: number, g: number, b: number) => (r + g + b) / 3,
    (r: number, g: number, b: number) => Math.max(r, g, b) - Math.min(r, g, b),
    (r: number, _: number, b: number) => r - b,
  ];
  for (const feature of features) {
    for (let threshold = -100; threshold < 256; threshold += 40) {
      for (const above of [true, false]) assert.ok(dice(feature, threshold, above) < 0.7);
    }
  }
});

test.run();
