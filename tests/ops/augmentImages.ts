import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GoldenTensors, readIndex } from '../../cli/verify/golden.js';
import { runImageCase } from '../../cli/verify/images.js';
import { NotOffered } from '../../cli/verify/judge.js';
import { type AugmentSettings, augmentationStatistics, sampleAugmentation } from '../../data/augment.js';
import { applyAugmentation } from '../../data/augmentReference.js';
import {
  augmentationFloats,
  augmentationLayout as at,
  colourSteps,
  identityAugmentation,
  type ImageStatistics,
  noStatistics,
} from '../../engine/augmentation.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { augmentImages } from '../../engine/ops/augmentImages.js';
import { sum } from '../../engine/ops/sum.js';
import { Plan } from '../../engine/plan.js';
import { Random } from '../../engine/random.js';
import { testDevice } from '../helpers/device.js';
import { everyTransform, transformNames } from '../helpers/augment.js';
import { goldenDirectory } from '../helpers/golden.js';
import { smallBindings } from '../helpers/pass.js';

const device = await testDevice();
const test = suite('augmentImages');

const NORMALISATION = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** Smooth photos with noise on top and masks of blobs with a border, so that a shift of a pixel shows everywhere. */
function photos(n: number, height: number, width: number): Uint8Array<ArrayBuffer> {
  const random = new Random('photos', height, width);
  const pixels = new Uint8Array(n * height * width * 4);
  for (let i = 0; i < n * height * width; i++) {
    const x = i % width;
    const y = Math.floor(i / width);
    for (let c = 0; c < 3; c++)
      pixels[i * 4 + c] = 128 + 90 * Math.sin(x / 5 + c) * Math.cos(y / 7 - c) + random.uniform(-30, 30);
    pixels[i * 4 + 3] = [0, 1, 2][Math.floor(1.5 + 1.4 * Math.sin(x / 3) * Math.cos(y / 4))];
  }
  return pixels;
}

interface Batch {
  height: number;
  width: number;
  pixels: Uint8Array;
  /** One for each image. */
  parameters: readonly Float32Array[];
  statistics?: ImageStatistics;
  foreground?: readonly number[];
  ignored?: readonly number[];
}

async function run(on: Device, { height, width, pixels, parameters, statistics, foreground, ignored }: Batch) {
  const n = parameters.length;
  const graph = new Graph();
  const inputs = [
    graph.input('pixels', [n, height, width], 'words'),
    graph.input('parameters', [n, augmentationFloats, 1, 1]),
  ] as const;
  const { image, mask } = augmentImages(...inputs, { ...NORMALISATION, statistics, foreground, ignored });
  const total = sum(image);
  const plan = await Plan.compile(on, graph, { outputs: [image, mask, total], poison: true });
  try {
    plan.write(inputs[0], pixels);
    plan.write(inputs[1], Float32Array.from(parameters.flatMap((p) => [...p])));
    plan.run();
    const [imageValues, maskValues, [totalValue]] = await plan.read(image, mask, total);
    return { image: imageValues, mask: maskValues, total: totalValue };
  } finally {
    plan.destroy();
  }
}

/** How far a result may be from the slow definition. */
interface Slack {
  /** Of a value in 0 .. 1. Coordinates up to 100 are exact to 1e-5 pixel, and neighbours differ by 1 at most. */
  error?: number;
  /** Share of the values that may be off by more. */
  values?: number;
  /** Share of the mask that may be off: where float32 puts a coordinate on the other side of a pixel's edge. */
  mask?: number;
}

/**
 * The equalisation: float32 rounds some levels the other way, which is 0.4 % of white, and more where it is dark; a
 * pixel that is counted one level higher moves the table's values.
 */
const EQUALISED: Slack = { error: 0.012, values: 0.005 };

/** Compares with the slow definition. */
async function check(
  on: Device,
  height: number,
  width: number,
  parameters: readonly Float32Array[],
  statistics: ImageStatistics = noStatistics,
  slack: Slack = {},
): Promise<void> {
  const { error: most = 5e-5, values: valueShare = 0, mask: maskShare = 0 } = slack;
  const n = parameters.length;
  const pixels = photos(n, height, width);
  const got = await run(on, { height, width, pixels, parameters, statistics });
  const area = height * width;
  for (let i = 0; i < n; i++) {
    const own = pixels.subarray(i * area * 4, (i + 1) * area * 4);
    const expected = applyAugmentation(own, height, width, parameters[i], statistics.tiles);
    let wrong = 0;
    for (let k = 0; k < area; k++) if (got.mask[i * area + k] !== Number(expected.mask[k] !== 0)) wrong++;
    assert.ok(wrong <= maskShare * area, `image ${i}: ${wrong} of ${area} mask pixels differ`);
    let off = 0;
    let first = '';
    for (let c = 0; c < 3; c++) {
      for (let k = 0; k < area; k++) {
        const value = got.image[(i * 3 + c) * area + k] * NORMALISATION.std[c] + NORMALISATION.mean[c];
        const reference = expected.image[c * area + k];
        if (Math.abs(value - reference) <= most) continue;
        off++;
        first ||= `channel ${c}, pixel ${k} is ${value} instead of ${reference}`;
      }
    }
    assert.ok(off <= valueShare * 3 * area, `image ${i}: ${off} of ${3 * area} values differ; ${first}`);
  }
  const exact = got.image.reduce((a, b) => a + b, 0);
  const scale = got.image.reduce((a, b) => a + Math.abs(b), 0);
  assert.ok(Math.abs(got.total - exact) <= 1e-5 * scale, 'the pads of the image hold something');
}

const sampled = (count: number, height: number, width: number, settings: AugmentSettings) =>
  Array.from({ length: count }, (_, i) => sampleAugmentation(settings, 7, 3, i, height, width));

const changed = (change: (parameters: Float32Array) => void): Float32Array => {
  const parameters = identityAugmentation();
  change(parameters);
  return parameters;
};

const withProgram = (...steps: number[][]): Float32Array =>
  changed((parameters) => steps.forEach((step, k) => parameters.set(step, at.program + 4 * k)));

test('identity and flips are exact', async () => {
  const flips = [
    [-1, 0, 12, 0, 1, 0],
    [1, 0, 0, 0, -1, 10],
  ].map((affine) => changed((p) => p.set(affine, at.affine)));
  await check(device, 11, 13, [identityAugmentation(), ...flips]);
});

for (const name of transformNames) {
  test(`${name}: sampled parameters`, async () => {
    const settings = { [name]: { ...everyTransform[name], p: 1 } } as AugmentSettings;
    const statistics = augmentationStatistics(settings);
    const slack = { error: 2e-4, mask: 0.01, ...(name === 'clahe' ? EQUALISED : {}) };
    await check(device, 33, 40, sampled(4, 33, 40, settings), statistics, slack);
    const constant = { ...settings, border: 'constant' } as const;
    await check(device, 29, 17, sampled(2, 29, 17, constant), statistics, slack);
  });
}

test('random compositions of all transforms, odd sizes', async () => {
  const statistics = augmentationStatistics(everyTransform);
  for (const [height, width] of [
    [37, 29],
    [16, 64],
    [8, 9],
  ]) {
    const slack = { ...EQUALISED, mask: 0.03 };
    await check(device, height, width, sampled(10, height, width, everyTransform), statistics, slack);
  }
});

test('far outside: several reflections, and an image of one pixel', async () => {
  const far = changed((p) => {
    p.set([3.7, 0.4, -50.3, -0.6, 4.1, 33.2], at.affine);
    p[at.border] = 1;
  });
  await check(device, 9, 5, [far], noStatistics, { mask: 0.03 });
  await check(device, 1, 1, [far, identityAugmentation()]);
});

test('steps with means after each other, factors that clamp', async () => {
  const { brightness, contrast, saturation, hue, brightnessContrast } = colourSteps;
  const programs = [
    withProgram([contrast, 1.9, 0], [brightness, 1.7], [contrast, 0.2, 1], [saturation, 0.3]),
    withProgram([brightnessContrast, 1.4, -0.3, 0], [contrast, 1.5, 1], [brightnessContrast, 0.7, 0.2, 2]),
    withProgram([hue, 0.4], [saturation, 3], [contrast, 1.9, 0]),
    withProgram([brightnessContrast, 1.4, 0.3, -1]),
  ];
  await check(device, 17, 19, programs, { means: 3 }, { error: 1e-4 });
});

test('the equalisation inside of a program, other tiles, a grey picture', async () => {
  const { brightness, clahe, contrast } = colourSteps;
  const programs = [
    withProgram([brightness, 1.2], [clahe, 3, 0], [contrast, 1.3, 0]),
    withProgram([clahe, 1.5, 1]),
    withProgram([contrast, 0.5, 0]),
  ];
  for (const tiles of [
    [1, 1],
    [3, 5],
    [19, 17],
  ] as const) {
    await check(device, 17, 19, programs, { means: 1, tiles }, EQUALISED);
  }
});

test('photo and mask move together', async () => {
  const [height, width, n] = [48, 40, 12];
  const names = transformNames.slice(0, transformNames.indexOf('gamma'));
  const geometry: AugmentSettings = Object.fromEntries(names.map((name) => [name, everyTransform[name]]));
  for (const border of ['constant', 'reflect101'] as const) {
    const pixels = photos(n, height, width);
    for (let i = 0; i < pixels.length; i += 4) pixels.fill(pixels[i + 3] === 0 ? 0 : 255, i, i + 3);
    const parameters = sampled(n, height, width, { ...geometry, border });
    const { image, mask } = await run(device, { height, width, pixels, parameters });
    const area = height * width;
    let [inside, outside, wrong] = [0, 0, 0];
    mask.forEach((m, i) => {
      const red = image[Math.floor(i / area) * 3 * area + (i % area)] * NORMALISATION.std[0] + NORMALISATION.mean[0];
      if (red > 0.999) m === 1 ? inside++ : wrong++;
      if (red < 0.001) m === 0 ? outside++ : wrong++;
    });
    assert.is(wrong, 0);
    assert.ok(inside + outside > 0.4 * n * area && inside > 0.1 * n * area && outside > 0.1 * n * area);
  }
});

test('which mask bytes are foreground', async () => {
  const pixels = photos(1, 5, 6);
  const parameters = [identityAugmentation()];
  for (const foreground of [[1], [2], [1, 2], [0]]) {
    const { mask } = await run(device, { height: 5, width: 6, pixels, parameters, foreground });
    const expected = Float32Array.from({ length: 30 }, (_, i) => Number(foreground.includes(pixels[i * 4 + 3])));
    assert.equal(mask, expected);
  }
});

test('which mask bytes are ignored', async () => {
  const pixels = photos(1, 5, 6);
  const parameters = [identityAugmentation()];
  const { mask } = await run(device, { height: 5, width: 6, pixels, parameters, foreground: [1], ignored: [2] });
  const expected = Float32Array.from({ length: 30 }, (_, i) => [0, 1, -1][pixels[i * 4 + 3]]);
  assert.equal(mask, expected);
});

test('a split batch, and the same bits twice', async () => {
  const [height, width, n] = [16, 16, 5];
  const statistics = augmentationStatistics(everyTransform);
  const settings = { ...everyTransform, clahe: { ...everyTransform.clahe, p: 1 } };
  const batch = {
    ...{ height, width, statistics, pixels: photos(n, height, width) },
    parameters: sampled(n, height, width, settings),
  };
  const once = await run(device, batch);
  assert.equal(await run(device, batch), once);
  const { image, mask } = await run(smallBindings(device, 8192), batch);
  assert.equal({ image, mask }, { image: once.image, mask: once.mask });
});

const imageCases = readIndex(goldenDirectory).filter(({ kind }) => kind === 'image');

for (const golden of imageCases) {
  test(`golden ${golden.name}`, async () => {
    for (const { tensor, ratio, where } of await runImageCase(device, new GoldenTensors(goldenDirectory, golden)))
      assert.ok(ratio <= 1, `${tensor}: ${ratio} times the tolerance, ${where}`);
  });
}

test('forms that are not ours are said to be so', async () => {
  const golden = imageCases.find(({ op }) => op === 'hue')!;
  const other = { ...golden, options: { ...golden.options, library: 'pil' } };
  try {
    await runImageCase(device, new GoldenTensors(goldenDirectory, other));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, NotOffered);
    assert.match((error as Error).message, /^hue of the form pil; ours is torch$/);
  }
});

test('shape errors', () => {
  const graph = new Graph();
  const pixels = graph.input('pixels', [2, 4, 4], 'words');
  const parameters = graph.input('p', [2, augmentationFloats, 1, 1]);
  assert.throws(
    () => augmentImages(graph.input('pixels', [2, 1, 4, 4]), parameters, NORMALISATION),
    /pixels pixels \[2, 1, 4, 4\] \(image\) have to be words \[N, H, W\]/,
  );
  assert.throws(
    () => augmentImages(pixels, graph.input('p', [3, augmentationFloats, 1, 1]), NORMALISATION),
    /parameters p \[3, 88, 1, 1\] do not fit pixels pixels \[2, 4, 4\]; \[2, 88, 1, 1\] needed/,
  );
  const zero = { ...NORMALISATION, std: [1, 0, 1] } as const;
  assert.throws(() => augmentImages(pixels, parameters, zero), /std 1, 0, 1 has to be positive/);
  assert.throws(
    () => augmentImages(pixels, parameters, { ...NORMALISATION, statistics: { means: 0, tiles: [8, 8] } }),
    /8 x 8 tiles do not fit images of 4 x 4 pixels/,
  );
  assert.throws(() => augmentImages(pixels, parameters, { ...NORMALISATION, foreground: [3] }), /among the mask bytes/);
  assert.throws(
    () => augmentImages(pixels, parameters, { ...NORMALISATION, ignored: [2] }),
    /ignored 2 has to be among the mask bytes 0, 1 and 2 and not in foreground/,
  );
});

test.run();
