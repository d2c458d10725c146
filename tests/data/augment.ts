import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AugmentSettings,
  augmentationStatistics,
  checkAugmentation,
  defaultAugmentation,
  sampleAugmentation,
} from '../../data/augment.js';
import {
  augmentationLayout as at,
  colourSteps,
  equalisedPlanes,
  identityAugmentation,
  programSteps,
} from '../../engine/augmentation.js';
import { SettingsError } from '../../engine/settings.js';
import { everyTransform, transformNames } from '../helpers/augment.js';

const test = suite('data/augment');

const sample = (settings: AugmentSettings, index = 0, height = 6, width = 8) =>
  sampleAugmentation(settings, 1, 0, index, height, width);
const samples = (settings: AugmentSettings, height = 6, width = 8) =>
  Array.from({ length: 400 }, (_, i) => sample(settings, i, height, width));
const affineOf = (parameters: Float32Array) => [...parameters.subarray(at.affine, at.affine + 6)];
const stepsOf = (parameters: Float32Array) =>
  Array.from({ length: programSteps }, (_, k) => [
    ...parameters.subarray(at.program + 4 * k, at.program + 4 * k + 4),
  ]).filter(([step]) => step !== colourSteps.end);
const near = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number) => {
  assert.is(got.length, want.length);
  for (let i = 0; i < want.length; i++)
    assert.ok(Math.abs(got[i] - want[i]) <= tolerance, `${i}: ${got[i]} instead of ${want[i]}`);
};
/** All numbers lie in the range, and come near to both of its ends. */
function fills(values: readonly number[], [low, high]: readonly [number, number]): void {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const slack = 0.05 * (high - low);
  const rounding = 1e-5;
  assert.ok(least >= low - rounding && most <= high + rounding, `${least} .. ${most} leaves ${low} .. ${high}`);
  assert.ok(least <= low + slack && most >= high - slack, `${least} .. ${most} does not fill ${low} .. ${high}`);
}

test('no transform, no change', () => {
  const identity = identityAugmentation();
  identity[at.border] = 1;
  assert.equal(sample({}), identity);
  const never = Object.fromEntries(transformNames.map((name) => [name, { ...everyTransform[name], p: 0 }]));
  assert.equal(sample(never as AugmentSettings), identity);
  identity[at.border] = 0;
  assert.equal(sample({ border: 'constant' }), identity);
});

test('a draw depends on seed, epoch and sample alone', () => {
  const draw = (seed: number, epoch: number, index: number) =>
    [...sampleAugmentation(everyTransform, seed, epoch, index, 64, 48)].join();
  assert.is(draw(1, 2, 3), draw(1, 2, 3));
  assert.is(new Set([draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)]).size, 4);
});

test('a transform does not change what another one draws', () => {
  const hue = { p: 1, shift: [-0.5, 0.5] } as const;
  const alone = stepsOf(sample({ hue })).at(-1);
  assert.equal(stepsOf(sample({ hue, gamma: { p: 1, exponent: [0.5, 2] }, horizontalFlip: { p: 1 } })).at(-1), alone);
});

test('probabilities hold', () => {
  const flipped = samples({ horizontalFlip: { p: 0.3 } }).filter((p) => affineOf(p)[0] === -1).length;
  assert.ok(flipped > 80 && flipped < 160, `${flipped} of 400`);
});

test('flips', () => {
  assert.equal(affineOf(sample({ horizontalFlip: { p: 1 } })), [-1, 0, 7, 0, 1, 0]);
  assert.equal(affineOf(sample({ verticalFlip: { p: 1 } })), [1, 0, 0, 0, -1, 5]);
});

test('rotation is counter-clockwise about the centre; affine is clockwise', () => {
  for (let i = 0; i < 20; i++) {
    const [a, b, c, d, e, f] = affineOf(sample({ rotation: { p: 1, degrees: [10, 30] } }, i, 7, 9));
    near([a * 4 + b * 3 + c, d * 4 + e * 3 + f], [4, 3], 1e-5);
    // y points down: to the right of the centre stands what was below it.
    assert.ok(d >= Math.sin(Math.PI / 18) - 1e-6 && d <= 0.5 + 1e-6);
    near([a, b, e], [Math.cos(Math.asin(d)), -d, a], 1e-6);
  }
  const turn = { p: 1, degrees: [20, 20], translate: [0, 0], scale: [1, 1], shear: [0, 0] } as const;
  near(affineOf(sample({ affine: turn })).slice(3, 4), [-Math.sin(Math.PI / 9)], 1e-6);
});

test('affine: shift by shares of the sides, scale, shear along x', () => {
  const still = { p: 1, degrees: [0, 0], translate: [0, 0], scale: [1, 1], shear: [0, 0] } as const;
  const shifts = samples({ affine: { ...still, translate: [0.1, 0.2] } }, 10, 100).map(affineOf);
  fills(
    shifts.map(([, , c]) => c / 100),
    [-0.1, 0.1],
  );
  fills(
    shifts.map(([, , , , , f]) => f / 10),
    [-0.2, 0.2],
  );
  const scales = samples({ affine: { ...still, scale: [0.8, 1.2] } }).map(affineOf);
  fills(
    scales.map(([a]) => 1 / a),
    [0.8, 1.2],
  );
  const [a, b, c, d, e, f] = affineOf(sample({ affine: { ...still, shear: [30, 30] } }));
  near([a, b, c, d, e, f], [1, Math.tan(Math.PI / 6), -2.5 * Math.tan(Math.PI / 6), 0, 1, 0], 1e-5);
});

test('shift-scale-rotate stays in its ranges', () => {
  const settings = { shiftScaleRotate: { p: 1, shift: 0.2, scale: 0.2, rotate: 15 } };
  const affines = samples(settings).map(affineOf);
  fills(
    affines.map(([a, , , d]) => 1 / Math.hypot(a, d)),
    [0.8, 1.2],
  );
  fills(
    affines.map(([a, , , d]) => Math.atan2(d, a) / (Math.PI / 12)),
    [-1, 1],
  );
  const moved = { shiftScaleRotate: { p: 1, shift: 0.2, scale: 0, rotate: 0 } };
  fills(
    samples(moved, 10, 100).map((p) => p[at.affine + 2]),
    [-20, 20],
  );
});

test('transforms compose in their order: the photo is flipped, then rotated', () => {
  const rotation = { p: 1, degrees: [10, 30] } as const;
  const [a, b, c, d, e, f] = affineOf(sample({ rotation }));
  assert.equal(affineOf(sample({ rotation, horizontalFlip: { p: 1 } })), [-a, -b, Math.fround(7 - c), d, e, f]);
});

test('random resized crop: boxes within the photo, by area and ratio, all of it if nothing else fits', () => {
  const [height, width] = [100, 120];
  const boxes = samples({ randomResizedCrop: { p: 1, scale: [0.08, 1], ratio: [0.75, 1.33] } }, height, width).map(
    (p) => [...p.subarray(at.box, at.box + 6)],
  );
  for (const [left, top, right, bottom, scaleX, scaleY] of boxes) {
    assert.ok(left >= 0 && top >= 0 && right <= width && bottom <= height);
    const [w, h] = [right - left, bottom - top];
    assert.ok(w * h >= 0.07 * width * height && w / h > 0.7 && w / h < 1.4);
    near([scaleX, scaleY], [w / width, h / height], 1e-6);
  }
  assert.ok(new Set(boxes.map((box) => box.join())).size > 390);
  const impossible = sample({ randomResizedCrop: { p: 1, scale: [1, 1], ratio: [9, 9] } }, 0, 10, 20);
  assert.equal([...impossible.subarray(at.box, at.box + 4)], [0, 4, 20, 6]);
});

test('elastic: normal displacements at the nodes', () => {
  const nodes = samples({ elastic: { p: 1, sigma: 10 } }).flatMap((p) => [...p.subarray(at.elastic, at.elastic + 18)]);
  const mean = nodes.reduce((sum, value) => sum + value, 0) / nodes.length;
  const deviation = Math.sqrt(nodes.reduce((sum, value) => sum + (value - mean) ** 2, 0) / nodes.length);
  assert.ok(Math.abs(mean) < 0.5 && Math.abs(deviation - 10) < 0.5, `${mean}, ${deviation}`);
  assert.is(sample({ elastic: { p: 1, sigma: 10 } })[at.elasticOn], 1);
});

test('colour steps: their numbers and ranges', () => {
  const steps = (settings: AugmentSettings) => samples(settings).map((p) => stepsOf(p)[0]);
  const values = (settings: AugmentSettings, place: number) => steps(settings).map((step) => step[place]);
  for (const name of ['brightness', 'contrast', 'saturation'] as const) {
    fills(values({ [name]: { p: 1, factor: [0.5, 1.5] } }, 1), [0.5, 1.5]);
    assert.is(stepsOf(sample({ [name]: { p: 1, factor: [0.5, 1.5] } }))[0][0], colourSteps[name]);
  }
  fills(values({ hue: { p: 1, shift: [-0.1, 0.1] } }, 1), [-0.1, 0.1]);
  fills(values({ gamma: { p: 1, exponent: [0.8, 1.28] } }, 1), [0.8, 1.28]);
  const clahe = { ...everyTransform.clahe, p: 1 };
  fills(values({ clahe }, 1), [1, 4]);
  assert.is(stepsOf(sample({ clahe: { ...clahe, channel: 'grey' } }))[0][2], equalisedPlanes.grey);
  const orders = new Set(steps({ channelShuffle: { p: 1 } }).map((step) => step.slice(1).join()));
  assert.is(orders.size, 6);
  const curve = steps({ toneCurve: { p: 1, scale: 0.1 } });
  near(
    [curve.reduce((sum, step) => sum + step[1], 0) / 400, curve.reduce((sum, s) => sum + s[2], 0) / 400],
    [0.25, 0.75],
    0.03,
  );
  const brightnessContrast = { p: 1, brightness: [-0.2, 0.1], contrast: [0.9, 1.2], by: 'max' } as const;
  fills(values({ brightnessContrast }, 1), [0.9, 1.2]);
  fills(values({ brightnessContrast }, 2), [-0.2, 0.1]);
  assert.is(stepsOf(sample({ brightnessContrast }))[0][3], -1);
});

test('colour jitter: every order comes, and only what is given', () => {
  const { brightness, contrast, saturation, hue } = colourSteps;
  const jitter = { ...everyTransform.colorJitter, p: 1 };
  const programs = samples({ colorJitter: jitter }).map(stepsOf);
  assert.is(new Set(programs.map((program) => program.map(([step]) => step).join())).size, 24);
  for (const program of programs)
    assert.equal(program.map(([step]) => step).sort(), [brightness, contrast, saturation, hue].sort());
  const only = stepsOf(sample({ colorJitter: { p: 1, saturation: [2, 2] } }));
  assert.equal(only, [[saturation, 2, 0, 0]]);
});

test('means have slots in order, and no more than the statistics say', () => {
  const settings = Object.fromEntries(transformNames.map((name) => [name, { ...everyTransform[name], p: 1 }]));
  const statistics = augmentationStatistics(settings as AugmentSettings);
  assert.equal(statistics, { means: 3, tiles: [8, 8] });
  for (const parameters of samples(settings as AugmentSettings).slice(0, 50)) {
    const program = stepsOf(parameters);
    assert.is(program.length, programSteps);
    const slots = program.flatMap((step) =>
      step[0] === colourSteps.contrast ? [step[2]] : step[0] === colourSteps.brightnessContrast ? [step[3]] : [],
    );
    assert.equal(slots, [0, 1, 2]);
    const kinds = program.map(([step]) => step);
    assert.ok(kinds.indexOf(colourSteps.clahe) < kinds.indexOf(colourSteps.brightnessContrast));
  }
  assert.equal(augmentationStatistics(defaultAugmentation), { means: 1, tiles: undefined });
  assert.equal(augmentationStatistics({}), { means: 0, tiles: undefined });
});

test('settings from a file: what is wrong is named', () => {
  for (const good of [{}, everyTransform]) {
    const checked = checkAugmentation(JSON.parse(JSON.stringify(good)));
    assert.equal(checked, { border: 'reflect101', ...good });
    assert.equal(checkAugmentation(checked), checked);
  }
  const checked = checkAugmentation(defaultAugmentation);
  assert.equal(sample(checked), sample(defaultAugmentation));
  const jitter = checkAugmentation({ colorJitter: { p: 1, hue: [0.1, 0.1] } });
  assert.equal(stepsOf(sample(jitter)), [[colourSteps.hue, Math.fround(0.1), 0, 0]]);
  assert.equal(augmentationStatistics(jitter).means, 0);
  const message = (value: unknown): string => {
    try {
      checkAugmentation(value);
    } catch (error) {
      assert.instance(error, SettingsError);
      return (error as Error).message;
    }
    throw new Error(`${JSON.stringify(value)} passed`);
  };
  const { clahe } = everyTransform;
  const wrong: [settings: unknown, message: RegExp][] = [
    [[], /^augmentation: \[\] is not an object/],
    [{ flip: {} }, /^augmentation\.flip: unknown key; known are border, randomResizedCrop, /],
    [{ border: 'wrap' }, /^augmentation\.border: "wrap" is not one of constant, reflect101$/],
    [{ hue: true }, /^augmentation\.hue: true is not an object/],
    [{ hue: { p: 1, shift: [0, 0.1], by: 2 } }, /^augmentation\.hue\.by: unknown key; known are p, shift$/],
    [{ horizontalFlip: {} }, /^augmentation\.horizontalFlip\.p: missing; a number from 0 to 1 is needed$/],
    [{ horizontalFlip: { p: 50 } }, /^augmentation\.horizontalFlip\.p: 50 is not a number from 0 to 1$/],
    [{ gamma: { p: 1, exponent: [2, 1] } }, /exponent: \[2,1\] is not \[low, high\] with numbers from 0\.001 on$/],
    [{ elastic: { p: 0.5, sigma: '10' } }, /^augmentation\.elastic\.sigma: "10" is not a number/],
    [{ clahe: { ...clahe, tiles: [8, 2.5] } }, /tiles: \[8,2\.5\] is not \[x, y\] with whole numbers from 1 to 64$/],
  ];
  for (const [settings, expected] of wrong) assert.match(message(settings), expected);
});

test.run();
