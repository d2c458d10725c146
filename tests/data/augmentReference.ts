import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { boxParameters, flipColumns, inverseAffine } from '../../data/augment.js';
import { applyAugmentation } from '../../data/augmentReference.js';
import { equaliseLevels, labToRgb, rgbToLab } from '../../data/clahe.js';
import { augmentationLayout as at, colourSteps, identityAugmentation } from '../../engine/augmentation.js';
import { imageCase, somePixels } from '../helpers/data.js';

const test = suite('data/augmentReference');

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

const changed = (change: (parameters: Float32Array) => void): Float32Array => {
  const parameters = identityAugmentation();
  change(parameters);
  return parameters;
};
const withAffine = (affine: readonly number[]) => changed((p) => p.set(affine, at.affine));
const withProgram = (...steps: number[][]) =>
  changed((p) => steps.forEach((step, k) => p.set(step, at.program + 4 * k)));

/** Applies parameters to the case's photo and mask, and judges what comes out. */
function checkCase(name: string, parametersOf: (options: any, height: number, width: number) => Float32Array): void {
  const { tensors, options, check } = imageCase(name);
  const { shape, data } = tensors.get('in.image')!;
  const [height, width] = shape;
  const mask = tensors.get('in.mask')?.data ?? new Uint8Array(height * width);
  const result = applyAugmentation(recordOf(data, mask), height, width, parametersOf(options, height, width));
  check('out.image', tensors.get('out.image')!.dtype === 'F32' ? result.image : toBytes(result.image));
  if (tensors.has('out.mask')) check('out.mask', result.mask);
}

test('identity leaves a sample as it is', () => {
  const pixels = somePixels(3, 5);
  const mask = Uint8Array.from({ length: 15 }, (_, i) => i % 3);
  const result = applyAugmentation(recordOf(pixels, mask), 3, 5, identityAugmentation());
  assert.equal(toBytes(result.image), [...pixels]);
  assert.equal([...result.mask], [...mask]);
});

test('golden geometry', () => {
  checkCase('image-hflip', (_, __, width) => withAffine(flipColumns(width)));
  checkCase('image-rotate-float', ({ angle }, height, width) =>
    withAffine(inverseAffine({ degrees: -angle, translate: [0, 0], scale: 1 }, height, width)),
  );
  checkCase('image-affine-float', ({ angle, translate, scale, shear }, height, width) =>
    withAffine(inverseAffine({ degrees: angle, translate, scale, shear }, height, width)),
  );
  for (const border of ['constant', 'reflect101']) {
    checkCase(`image-shift-scale-rotate-${border}`, ({ matrix: [[a, b, c], [d, e, f]] }) => {
      // The golden matrix maps source to destination.
      const det = a * e - b * d;
      const affine = [e / det, -b / det, (b * f - e * c) / det, -d / det, a / det, (d * c - a * f) / det];
      const parameters = withAffine(affine);
      parameters[at.border] = border === 'reflect101' ? 1 : 0;
      return parameters;
    });
  }
});

test('golden colour', () => {
  const { brightness, contrast, saturation, hue, gamma, channelShuffle, brightnessContrast, toneCurve } = colourSteps;
  checkCase('image-brightness-float', ({ factor }) => withProgram([brightness, factor]));
  checkCase('image-contrast-float', ({ factor }) => withProgram([contrast, factor]));
  checkCase('image-saturation-float', ({ factor }) => withProgram([saturation, factor]));
  checkCase('image-hue-float', ({ factor }) => withProgram([hue, factor]));
  checkCase('image-gamma-float-0_8', (options) => withProgram([gamma, options.gamma]));
  checkCase('image-channel-shuffle', ({ order }) => withProgram([channelShuffle, ...order]));
  checkCase('image-tone-curve', ({ low, high }) => withProgram([toneCurve, low, high]));
  for (const by of ['max', 'mean']) {
    checkCase(`image-brightness-contrast-float-${by}`, (options) =>
      withProgram([brightnessContrast, options.contrast, options.brightness, by === 'max' ? -1 : 0]),
    );
  }
  checkCase('image-color-jitter-float', (o) =>
    withProgram([brightness, o.brightness], [contrast, o.contrast], [saturation, o.saturation], [hue, o.hue]),
  );
});

test('the equalisation is OpenCV’s, step by step', () => {
  for (const name of ['image-clahe-gray', 'image-clahe-gray-odd']) {
    const { tensors, options, check } = imageCase(name);
    const { shape, data } = tensors.get('in.image')!;
    const tiles = options.tiles as [number, number];
    check('out.image', equaliseLevels(data as Uint8Array, shape[0], shape[1], options.clip_limit as number, tiles));
  }
  const { tensors, options, check } = imageCase('image-clahe-lab');
  const { shape, data } = tensors.get('in.image')!;
  const pixels = (name: string) => {
    const values = tensors.get(name)!.data;
    return Array.from({ length: values.length / 3 }, (_, i) => [values[3 * i], values[3 * i + 1], values[3 * i + 2]]);
  };
  const photo = pixels('in.image').map(([r, g, b]) => [r / 255, g / 255, b / 255] as const);
  const lab = photo.map(rgbToLab).map(([l, a, b]) => [Math.round(l * 2.55), Math.round(a + 128), Math.round(b + 128)]);
  check('mid.lab', lab.flat());
  const golden = pixels('mid.lab');
  const levels = Uint8Array.from(golden, ([l]) => l);
  const tiles = options.tiles as [number, number];
  const equalised = equaliseLevels(levels, shape[0], shape[1], options.clip_limit as number, tiles);
  check(
    'mid.lab_clahe',
    golden.flatMap(([, a, b], i) => [equalised[i], a, b]),
  );
  const back = pixels('mid.lab_clahe').map(([l, a, b]) => labToRgb([l / 2.55, a - 128, b - 128]));
  check(
    'out.image',
    back.flat().map((value) => Math.round(value * 255)),
  );
  const whole = applyAugmentation(
    recordOf(data, new Uint8Array(shape[0] * shape[1])),
    shape[0],
    shape[1],
    withProgram([colourSteps.clahe, options.clip_limit as number, 0]),
    tiles,
  );
  check('out.image', toBytes(whole.image));
});

test('outside is black background, or mirrored without repeating the edge', () => {
  const record = recordOf([10, 10, 10, 20, 20, 20, 30, 30, 30], [1, 2, 1]);
  const parameters = withAffine([1, 0, -2, 0, 1, 0]);
  const reds = ({ image }: { image: Float32Array }) => toBytes(image).filter((_, i) => i % 3 === 0);
  const zero = applyAugmentation(record, 1, 3, parameters);
  assert.equal(
    [reds(zero), [...zero.mask]],
    [
      [0, 0, 10],
      [0, 0, 1],
    ],
  );
  parameters[at.border] = 1;
  const mirrored = applyAugmentation(record, 1, 3, parameters);
  assert.equal(
    [reds(mirrored), [...mirrored.mask]],
    [
      [30, 20, 10],
      [1, 2, 1],
    ],
  );
});

test('a crop takes nothing from beyond its box, and what lies outside is mirrored at the box', () => {
  const record = recordOf(
    [10, 0, 0, 20, 0, 0, 30, 0, 0, 40, 0, 0].flatMap((v, i) => (i % 3 ? [] : [v, v, v])),
    [1, 2, 0, 1],
  );
  const crop = changed((p) => p.set(boxParameters(1, 0, 2, 1, 1, 4), at.box));
  const reds = ({ image }: { image: Float32Array }) => [...image.subarray(0, 4)].map((v) => Math.round(v * 2550) / 10);
  const result = applyAugmentation(record, 1, 4, crop);
  assert.equal(
    [reds(result), [...result.mask]],
    [
      [20, 22.5, 27.5, 30],
      [2, 2, 0, 0],
    ],
  );
  crop[at.affine + 2] = -1;
  crop[at.border] = 1;
  const shifted = applyAugmentation(record, 1, 4, crop);
  assert.equal(
    [reds(shifted), [...shifted.mask]],
    [
      [22.5, 20, 22.5, 27.5],
      [2, 2, 2, 0],
    ],
  );
});

test('elastic: the displacement is the nodes’ at the nodes, and bicubic between them', () => {
  const width = 9;
  const values = Array.from({ length: width }, (_, i) => i * 20);
  const record = recordOf(
    values.flatMap((v) => [v, v, v]),
    new Uint8Array(width),
  );
  const parameters = changed((p) => {
    p[at.elasticOn] = 1;
    p[at.border] = 1;
    // One row: the three nodes of each row of nodes are the same.
    for (let row = 0; row < 3; row++) p.set([1, 0, 2, 0, -1, 0], at.elastic + 6 * row);
  });
  const { image } = applyAugmentation(record, 1, width, parameters);
  const moved = [...image.subarray(0, width)].map((v, i) => Math.round(((v * 255) / 20) * 1e4) / 1e4 - i);
  // Halfway between nodes the weights are -1/16, 9/16, 9/16, -1/16, the outer nodes repeated.
  const halfway = [(-1 * 1 + 9 * 1 + 9 * 2 - 1 * -1) / 16, (-1 * 1 + 9 * 2 + 9 * -1 - 1 * -1) / 16];
  [
    [0, 1],
    [2, halfway[0]],
    [4, 2],
    [6, halfway[1]],
    [8, -1],
  ].forEach(([x, d]) => assert.ok(Math.abs(moved[x] - d) < 1e-3, `${x}: ${moved[x]} instead of ${d}`));
});

test('the order of the steps is the one asked for', () => {
  const record = recordOf([255, 0, 0, 200, 180, 90], [0, 0]);
  const steps = [
    [colourSteps.brightness, 1.5],
    [colourSteps.contrast, 0.5],
    [colourSteps.saturation, 1.7],
  ];
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const results = orders.map((order) =>
    [...applyAugmentation(record, 1, 2, withProgram(...order.map((k) => steps[k]))).image].join(),
  );
  assert.is(new Set(results).size, orders.length);
});

test.run();
