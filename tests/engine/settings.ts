import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { integer, nullable, number, oneOf, optional, readFields, SettingsError } from '../../engine/settings.js';

const test = suite('settings');

const fields = {
  rate: number(0.1, { low: 0, exclusive: true }),
  share: number(undefined, { low: 0, high: 1 }),
  count: integer(3, 1),
  unit: oneOf(['epoch', 'step'], 'epoch'),
  alpha: nullable(number(0.25)),
  total: optional(integer(undefined, 1)),
};

test('fallbacks stand for what is missing', () => {
  const filled = { rate: 0.1, share: 0.5, count: 3, unit: 'epoch', alpha: 0.25, total: null };
  assert.equal(readFields('s', { share: 0.5 }, fields), filled);
  assert.equal(readFields('s', filled, fields), filled);
  const given = { rate: 2, share: 0, count: 1, unit: 'step', alpha: null, total: 7 } as const;
  assert.equal(readFields('s', given, fields), given);
});

test('what is wrong is named with its key and what is accepted', () => {
  const refused = (given: unknown, message: string) => {
    try {
      readFields('s', given, fields);
      assert.unreachable();
    } catch (error) {
      assert.ok(error instanceof SettingsError);
      assert.is(error.message, message);
    }
  };
  refused({}, 's.share: missing; a number from 0 to 1 is needed');
  refused({ share: 2 }, 's.share: 2 is not a number from 0 to 1');
  refused({ share: '0.5' }, 's.share: "0.5" is not a number from 0 to 1');
  refused({ share: NaN }, 's.share: NaN is not a number from 0 to 1');
  refused({ share: 0, rate: 0 }, 's.rate: 0 is not a number above 0');
  refused({ share: 0, rate: null }, 's.rate: null is not a number above 0');
  refused({ share: 0, count: 1.5 }, 's.count: 1.5 is not a whole number from 1 on');
  refused({ share: 0, unit: 'batch' }, 's.unit: "batch" is not one of epoch, step');
  refused({ share: 0, total: 0 }, 's.total: 0 is not a whole number from 1 on, or null');
  refused({ share: 0, shaer: 1 }, 's.shaer: unknown key; known are rate, share, count, unit, alpha, total');
  refused({ share: 0, toString: 1 }, 's.toString: unknown key; known are rate, share, count, unit, alpha, total');
  refused([], 's: [] is not an object of names and values');
  refused('x', 's: "x" is not an object of names and values');
});

test.run();
