import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { augment, drawContactSheet } from '../../cli/augment.js';
import { loadData } from '../../cli/dataLoading.js';
import { Progress } from '../../cli/progress.js';
import { DataError } from '../../data/errors.js';
import { everyTransform } from '../helpers/augment.js';
import { inDirectory } from '../helpers/data.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const test = suite('cli/augment');

const SIZE = 32;
const silent = () => {
  const lines: string[] = [];
  return { lines, progress: new Progress({ write: (text: string) => lines.push(text) }, { environment: {} }) };
};

test('the sheet: each photo as it is, then its draws, which another seed changes', () =>
  inDirectory(async (directory) => {
    const data = {
      dataPath: join(directory, 'sample'),
      sample: { count: 12, minSize: 40, maxSize: 60, seed: 3 },
      onBadFile: 'stop',
      size: SIZE,
    } as const;
    const home = process.cwd();
    process.chdir(directory);
    try {
      const cache = await loadData({ ...data, seed: 1 }, silent().progress);
      const sheetOf = (seed: number, photos = 3, draws = 2) =>
        drawContactSheet(device, cache, { augmentation: everyTransform, seed, photos, draws });
      const sheet = await sheetOf(1);
      assert.equal([sheet.height, sheet.width], [3 * SIZE + 8, 3 * SIZE + 8]);
      assert.equal(await sheetOf(1), sheet);
      const at = (pixels: Uint8Array, x: number, y: number) => [
        ...pixels.subarray((y * sheet.width + x) * 3).slice(0, 3),
      ];
      assert.equal(at(sheet.pixels, SIZE, 0), [32, 32, 32]);

      const record = new Uint8Array(cache.recordBytes);
      await cache.read(cache.indices('train')[0], record);
      let [plain, outline] = [0, 0];
      for (let i = 0; i < SIZE * SIZE; i++) {
        const pixel = at(sheet.pixels, i % SIZE, Math.floor(i / SIZE));
        if (pixel.join() === [...record.subarray(i * 4, i * 4 + 3)].join()) plain++;
        else if (record[i * 4 + 3] !== 0) outline++;
      }
      assert.ok(outline > 0 && plain + outline === SIZE * SIZE, `${plain} as they were, ${outline} of the outline`);

      const other = await sheetOf(2);
      const column = (pixels: Uint8Array, from: number) =>
        Array.from({ length: sheet.height }, (_, y) => at(pixels, from + 7, y)).join();
      assert.is(column(other.pixels, 0), column(sheet.pixels, 0));
      assert.is.not(column(other.pixels, SIZE + 4), column(sheet.pixels, SIZE + 4));
      assert.is((await sheetOf(1, 99, 1)).height, cache.indices('train').length * (SIZE + 4) - 4);
      await cache.close();

      const settings = { ...data, seed: 1, augmentation: everyTransform, photos: 2, draws: 1 };
      const { lines, progress } = silent();
      assert.is(await augment({ ...settings, output: 'sheet.png' }, progress), 0);
      const { height, width } = PNG.sync.read(readFileSync('sheet.png'));
      assert.equal([height, width], [2 * SIZE + 4, 2 * SIZE + 4]);
      assert.match(lines.join(''), /^augmentation: randomResizedCrop \(p 0\.5\), .*\n/);
      assert.match(lines.join(''), /wrote sheet\.png: 2 photos with 1 draw each/);
      try {
        await augment({ ...settings, output: 'no/such/folder.png' }, progress);
        assert.unreachable();
      } catch (error) {
        assert.instance(error, DataError);
        assert.match((error as Error).message, 'choose another --output');
      }
    } finally {
      process.chdir(home);
    }
  }));

test.run();
