import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MaskFile } from '../../data/decode.js';
import { countValues, readBinaryMasks } from '../../data/maskValues.js';
import { dataError } from '../helpers/data.js';

const test = suite('data/maskValues');

const mask = (kind: MaskFile['kind'], ...values: number[]) => ({
  file: `masks/${values.join('_')}.png`,
  values: countValues({ height: 1, width: values.length, kind, jpeg: false, values: Uint32Array.from(values) }),
});

test('values are counted', () => {
  assert.equal(mask('grey', 3, 0, 0, 3, 3).values.counts, [
    [0, 2],
    [3, 3],
  ]);
});

test('{0, 255}, {0, 1} and palettes of two colours are read', () => {
  assert.match(readBinaryMasks([mask('grey', 0, 255), mask('grey', 255)]), '{0, 255}');
  assert.match(readBinaryMasks([mask('grey', 0), mask('palette', 0, 1)]), '{0, 1}');
  assert.match(
    readBinaryMasks([mask('palette', 0, 15), mask('palette', 0)]),
    'index 0 background, index 15 foreground',
  );
});

test('everything else is an error', async () => {
  const error = (...masks: Parameters<typeof readBinaryMasks>[0]) => dataError(() => readBinaryMasks(masks));
  assert.match(
    await error(mask('grey', 0, 15)),
    'masks hold the values 0 (1 pixel), 15 (1 pixel), for example masks/0_15.png',
  );
  assert.match(await error(mask('palette', 1, 2)), 'values 1 (1 pixel), 2 (1 pixel)');
  assert.match(await error(mask('palette', 0, 1, 2)), 'values 0 (1 pixel), 1 (1 pixel), 2 (1 pixel)');
  assert.match(await error(mask('grey', 255)), 'single value 255');
  assert.match(await error(mask('colour', 0, 0xff8000)), '(255, 128, 0) (1 pixel)');
  const many = await error(mask('grey', ...Array.from({ length: 200 }, (_, i) => i)));
  assert.match(many, 'and 180 more');
});

test.run();
