import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dataset, Sample } from '../../data/dataset.js';
import { applySplit, readSplit } from '../../data/split.js';
import { dataError, inDirectory } from '../helpers/data.js';

const test = suite('data/split');

const sample = (name: string, split: Sample['split']): Sample => ({ name, split, image: `${name}.jpg`, mask: name });
/** One photo is in both lists, as Oxford-IIIT Pet's may be. */
const dataset: Dataset = {
  root: '/pets',
  layout: 'oxford',
  maskRule: 'trimap',
  samples: [sample('a', 'valid'), sample('b', 'train'), sample('c', 'train'), sample('both', 'train')].concat(
    sample('d', 'test'),
    sample('both', 'test'),
  ),
  missing: [],
  unused: [],
  onBadFile: 'stop',
  notes: ['as it is'],
};

const withFile = <T>(content: unknown, use: (file: string) => T) =>
  inDirectory((directory) => {
    const file = join(directory, 'split.json');
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return use(file);
  });

const splitsOf = ({ samples }: Dataset) => samples.map(({ name, split }) => `${name} ${split}`);

test('photos move where the file says, in the order of the data set; others are left out, and said', () =>
  withFile({ train: ['c', 'a', 'both'], valid: ['b'], test: ['both'] }, (file) => {
    const changed = applySplit(dataset, file);
    assert.equal(splitsOf(changed), ['a train', 'b valid', 'c train', 'both train', 'both test']);
    assert.equal(changed.notes, [
      'as it is',
      `split of ${file}: 3 training, 1 validation, 1 test photos; 1 photo in none of them, not used`,
    ]);
    assert.is(changed.samples[0].image, 'a.jpg');
  }));

test("a data set's own split changes nothing", () =>
  withFile({ train: ['b', 'c', 'both'], valid: ['a'], test: ['d', 'both'] }, (file) =>
    assert.equal(applySplit(dataset, file).samples, dataset.samples),
  ));

test('what cannot be is named', async () => {
  const refused = (content: unknown) => withFile(content, (file) => dataError(() => applySplit(dataset, file)));
  assert.match(
    await refused({ train: ['a', 'x', 'y'], valid: [], test: [] }),
    'names 2 photos that /pets has not, or not as often: x, y; is it the split of another data set?',
  );
  assert.match(await refused({ train: ['a'], valid: ['a'], test: [] }), 'names 1 photo that /pets has not, or not as');
  assert.match(await refused({ train: ['a'], valid: 'b', test: [] }), '"valid" is no list of names');
  assert.match(await refused('null'), '"train" is no list of names');
  assert.match(await refused('{"train":'), 'is not JSON');
  assert.match(await dataError(() => readSplit('nowhere.json')), 'nowhere.json does not exist');
});

test.run();
