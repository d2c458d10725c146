import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { resizeMask, resizePhoto } from '../../data/resize.js';
import { imageCase, somePixels } from '../helpers/data.js';

const test = suite('data/resize');

for (const name of ['image-resize-pil-20x90', 'image-resize-pil-32x32', 'image-resize-pil-80x96']) {
  test(`${name}: equal to Pillow's, every byte`, () => {
    const { tensors, options, check } = imageCase(name);
    const [height, width] = options.size as [number, number];
    const image = tensors.get('in.image')!;
    const [inHeight, inWidth] = image.shape;
    const photo = { height: inHeight, width: inWidth, pixels: image.data as Uint8Array };
    const resized = resizePhoto(photo, height, width);
    check('out.image', resized.pixels);
    assert.equal([...resized.pixels], [...tensors.get('out.image')!.data]);
    check('out.mask', resizeMask(tensors.get('in.mask')!.data as Uint8Array, inHeight, inWidth, height, width));
  });
}

test('the same size gives the same pixels', () => {
  const pixels = somePixels(5, 7);
  assert.equal([...resizePhoto({ height: 5, width: 7, pixels }, 5, 7).pixels], [...pixels]);
});

test('one pixel fills any size, any size shrinks to its mean', () => {
  const one = resizePhoto({ height: 1, width: 1, pixels: Uint8Array.of(9, 80, 255) }, 3, 2);
  assert.equal([...one.pixels], Array(6).fill([9, 80, 255]).flat());
  const mean = resizePhoto({ height: 1, width: 2, pixels: Uint8Array.of(0, 10, 20, 100, 30, 60) }, 1, 1);
  assert.equal([...mean.pixels], [50, 20, 40]);
});

test('a mask keeps its values and takes the nearest', () => {
  assert.equal([...resizeMask(Uint8Array.of(1, 2, 3), 1, 3, 2, 5)], [1, 1, 2, 3, 3, 1, 1, 2, 3, 3]);
  assert.equal([...resizeMask(Uint8Array.of(1, 2, 3, 4), 1, 4, 1, 2)], [2, 4]);
});

test.run();
