import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { join } from 'node:path';
import { findPhotos } from '../../cli/predict.js';
import { describeUniform, resizeLogits } from '../../cli/prediction.js';
import { dataError, inDirectory, writeFiles } from '../helpers/data.js';

const test = suite('cli/prediction');

test('logits are resized with half-pixel centres, clamped at the edges', () => {
  assert.equal([...resizeLogits(Float32Array.of(0, 1), 1, 2, 1, 4)], [0, 0.25, 0.75, 1]);
  assert.equal([...resizeLogits(Float32Array.of(1, 2, 3, 4), 2, 2, 2, 2)], [1, 2, 3, 4]);
  assert.equal([...resizeLogits(Float32Array.of(1, 2, 3, 4), 2, 2, 1, 1)], [2.5]);
  // torch.nn.functional.interpolate(torch.tensor([[[[0., 3., 6.]]]]), size=(1, 2), mode='bilinear') gives 0.75, 5.25.
  assert.equal([...resizeLogits(Float32Array.of(0, 3, 6), 1, 3, 1, 2)], [0.75, 5.25]);
});

test('photos are found below folders, and two that would write one mask are refused', () =>
  inDirectory(async (directory) => {
    writeFiles(directory, {
      'a/cat.jpg': '',
      'a/sub/cat.PNG': '',
      'a/.hidden.jpg': '',
      'a/notes.txt': '',
      'b/cat.jpg': '',
      'c/x.txt': '',
    });
    const at = (...parts: string[]) => join(directory, ...parts);
    assert.equal(
      findPhotos([at('a')]).map(({ name }) => name),
      ['cat', join('sub', 'cat')],
    );
    assert.match(await dataError(() => findPhotos([at('a'), at('b')])), 'would both write cat.png');
    assert.match(await dataError(() => findPhotos([at('b', 'cat.jpg'), at('b', 'cat.jpg')])), 'given twice');
    assert.match(await dataError(() => findPhotos([at('c')])), 'holds no photos');
    assert.match(await dataError(() => findPhotos([at('d')])), 'does not exist');
  }));

test('masks that are all empty or all full are worth a warning', () => {
  assert.is(describeUniform({ masks: 3, empty: 2, full: 0 }), undefined);
  assert.match(describeUniform({ masks: 3, empty: 3, full: 0 })!, 'all 3 masks are empty');
  assert.match(describeUniform({ masks: 1, empty: 0, full: 1 })!, 'the mask is full');
});

test.run();
