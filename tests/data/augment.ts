import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  applyAugmentation,
  augmentationLayout as at,
  colourOrders,
  defaultAugmentation,
  identityAugmentation,
  sampleAugmentation,
  type AugmentSettings,
} from '../../data/augment.js';
import { imageCase, somePixels } from '../helpers/data.js';

const test = suite('data/augment');

/** Records of the pixels and the mask. */
function recordOf(pixels: ArrayLike<number>, mask: ArrayLike<number>): Uint8Array {
  const record = new Uint8Array(mask.length * 4);
  for (let i = 0; i < mask.length; i++)
    record.set([pixels[i * 3], pixels[i * 3 + 1], pixels[i * 3 + 2], mask[i]], i * 4);
  return record;
}

/** 3 x H x W in 0 .. 1 as H x W x 3 in 0 .. 255. */
function toBytes(image: Float32Array): number[] {
  const area = image.length / 3;
  return Array.from({ length: image.length }, (_, i) => Math.round(image[(i % 3) * area + Math.floor(i / 3)] * 255));
}

const none: AugmentSettings = {
  horizontalFlip: { p: 0 },
  shiftScaleRotate: { ...defaultAugmentation.shiftScaleRotate, p: 0 },
  colorJitter: { ...defaultAugmentation.colorJitter, p: 0 },
};
const sample = (settings: AugmentSettings, epoch = 0, index = 0, height = 6, width = 8) =>
  sampleAugmentation(settings, 1, epoch, index, height, width);
const affineOf = (parameters: Float32Array) => [...parameters.subarray(at.affine, at.affine + 6)];
const near = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number) => {
  assert.is(got.length, want.length);
  for (let i = 0; i < want.length; i++)
    assert.ok(Math.abs(got[i] - want[i]) <= tolerance, `${i}: ${got[i]} instead of ${want[i]}`);
};

test('identity leaves a sample as it is', () => {
  const pixels = somePixels(3, 5);
  const mask = Uint8Array.from({ length: 15 }, (_, i) => i % 3);
  const result = applyAugmentation(recordOf(pixels, mask), 3, 5, identityAugmentation());
  assert.equal(toBytes(result.image), [...pixels]);
  assert.equal([...result.mask], [...mask]);
  assert.equal(affineOf(sample(none)), [1, 0, 0, 0, 1, 0]);
});

test('a draw depends on seed, epoch and sample alone', () => {
  const draw = (seed: number, epoch: number, index: number) =>
    [...sampleAugmentation(defaultAugmentation, seed, epoch, index, 64, 48)].join();
  assert.is(draw(1, 2, 3), draw(1, 2, 3));
  assert.is(new Set([draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)]).size > 2, true);
});

test('draws lie in their ranges, probabilities hold, every colour order comes', () => {
  let flipped = 0;
  const orders = new Set<number>();
  for (let i = 0; i < 600; i++) {
    const flipOnly = sample({ ...none, horizontalFlip: { p: 0.5 } }, 0, i);
    if (flipOnly[0] === -1) flipped++;
    const jitter = sample({ ...none, colorJitter: { ...defaultAugmentation.colorJitter, p: 1 } }, 0, i);
    for (const factor of [at.brightness, at.contrast, at.saturation])
      assert.ok(jitter[factor] >= 0.8 && jitter[factor] <= 1.2);
    orders.add(jitter[at.order]);
    const [a, b, , d, e] = affineOf(
      sample({ ...none, shiftScaleRotate: { ...defaultAugmentation.shiftScaleRotate, p: 1 } }, 0, i),
    );
    const scale = 1 / Math.hypot(a, d);
    assert.ok(scale >= 0.8 - 1e-6 && scale <= 1.2 + 1e-6);
    assert.ok(Math.abs(Math.atan2(d, a)) <= (15 * Math.PI) / 180 + 1e-6);
    near([a, d], [e, -b], 1e-6);
  }
  assert.ok(flipped > 250 && flipped < 350);
  assert.is(orders.size, colourOrders.length);
});

test('one probability does not change what the others give', () => {
  const moved = sample({
    ...defaultAugmentation,
    horizontalFlip: { p: 0 },
    colorJitter: { ...none.colorJitter, p: 1 },
  });
  const unmoved = sample({ ...none, colorJitter: { ...none.colorJitter, p: 1 } });
  assert.equal([...moved.subarray(6, 10)], [...unmoved.subarray(6, 10)]);
});

test('horizontal flip is the golden one', () => {
  const { tensors, check } = imageCase('image-hflip');
  const [height, width] = tensors.get('in.mask')!.shape;
  const flip = sampleAugmentation({ ...none, horizontalFlip: { p: 1 } }, 1, 0, 0, height, width);
  assert.equal(affineOf(flip), [-1, 0, width - 1, 0, 1, 0]);
  const record = recordOf(tensors.get('in.image')!.data, tensors.get('in.mask')!.data);
  const result = applyAugmentation(record, height, width, flip);
  check('out.image', toBytes(result.image));
  check('out.mask', result.mask);
});

for (const border of ['constant', 'reflect101']) {
  test(`shift-scale-rotate, border ${border}: the golden warp`, () => {
    const { tensors, options, check } = imageCase(`image-shift-scale-rotate-${border}`);
    const [height, width] = tensors.get('in.mask')!.shape;
    // The golden matrix maps source to destination.
    const [[a, b, c], [d, e, f]] = options.matrix as number[][];
    const det = a * e - b * d;
    const parameters = identityAugmentation();
    parameters.set([e / det, -b / det, (b * f - e * c) / det, -d / det, a / det, (d * c - a * f) / det]);
    parameters[at.border] = border === 'reflect101' ? 1 : 0;
    const record = recordOf(tensors.get('in.image')!.data, tensors.get('in.mask')!.data);
    const result = applyAugmentation(record, height, width, parameters);
    check('out.image', toBytes(result.image));
    check('out.mask', result.mask);
  });
}

test('rotation is counter-clockwise about the centre, as in the golden matrix', () => {
  const settings = { ...none, shiftScaleRotate: { ...none.shiftScaleRotate, p: 1, shift: 0, scale: 0 } };
  for (let i = 0; i < 20; i++) {
    const [a, b, c, d, e, f] = affineOf(sample(settings, 0, i, 7, 9));
    near([a * 4 + b * 3 + c, d * 4 + e * 3 + f], [4, 3], 1e-5);
    // Row and column grow downwards and to the right, so cv2's matrix [cos sin; -sin cos] has the inverse [cos -sin;
    // sin cos].
    near([a, b], [Math.cos(Math.asin(d)), -d], 1e-5);
  }
});

test('shift moves the picture by a share of its size', () => {
  const settings = { ...none, shiftScaleRotate: { ...none.shiftScaleRotate, p: 1, scale: 0, rotate: 0 } };
  const shifts = Array.from({ length: 200 }, (_, i) => affineOf(sample(settings, 0, i, 10, 100)));
  assert.ok(
    shifts.every(
      ([a, b, c, d, e, f]) => a === 1 && b === 0 && d === 0 && e === 1 && Math.abs(c) <= 20 && Math.abs(f) <= 2,
    ),
  );
  assert.ok(shifts.some(([, , c]) => c > 15) && shifts.some(([, , c]) => c < -15));
});

test('outside is black background, or mirrored without repeating the edge', () => {
  const record = recordOf([10, 10, 10, 20, 20, 20, 30, 30, 30], [1, 2, 1]);
  const parameters = identityAugmentation();
  parameters[at.affine + 2] = -2;
  const zero = applyAugmentation(record, 1, 3, parameters);
  assert.equal(
    [toBytes(zero.image).filter((_, i) => i % 3 === 0), [...zero.mask]],
    [
      [0, 0, 10],
      [0, 0, 1],
    ],
  );
  parameters[at.border] = 1;
  const mirrored = applyAugmentation(record, 1, 3, parameters);
  assert.equal(
    [toBytes(mirrored.image).filter((_, i) => i % 3 === 0), [...mirrored.mask]],
    [
      [30, 20, 10],
      [1, 2, 1],
    ],
  );
});

test('nearest takes no mean of pixels', () => {
  const parameters = identityAugmentation();
  parameters[at.affine + 2] = 0.25;
  parameters[at.border] = 1;
  const record = recordOf([0, 0, 0, 200, 200, 200], [0, 1]);
  assert.is(toBytes(applyAugmentation(record, 1, 2, parameters).image)[0], 50);
  parameters[at.bilinear] = 0;
  assert.is(toBytes(applyAugmentation(record, 1, 2, parameters).image)[0], 0);
});

for (const step of ['brightness', 'contrast', 'saturation'] as const) {
  test(`${step} is torchvision's`, () => {
    const { tensors, options, check } = imageCase(`image-${step}-float`);
    const [height, width] = tensors.get('in.image')!.shape;
    const parameters = identityAugmentation();
    parameters[at[step]] = options.factor as number;
    const record = recordOf(tensors.get('in.image')!.data, new Uint8Array(height * width));
    check('out.image', applyAugmentation(record, height, width, parameters).image);
  });
}

test('the order of the colour steps is the one asked for', () => {
  const record = recordOf([255, 0, 0, 200, 180, 90], [0, 0]);
  const results = colourOrders.map((_, order) => {
    const parameters = identityAugmentation();
    parameters.set([1.5, 0.5, 1.7, order], at.brightness);
    return [...applyAugmentation(record, 1, 2, parameters).image].join();
  });
  assert.is(new Set(results).size, colourOrders.length);
});

test.run();
