import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  applyAugmentation,
  augmentationLayout,
  colourOrders,
  defaultAugmentation,
  identityAugmentation,
  sampleAugmentation,
} from '../../data/augment.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { augmentImages } from '../../engine/ops/augmentImages.js';
import { sum } from '../../engine/ops/sum.js';
import { Plan } from '../../engine/plan.js';
import { Random } from '../../engine/random.js';
import { testDevice } from '../helpers/device.js';
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

async function run(on: Device, n: number, height: number, width: number, pixels: Uint8Array, parameters: Float32Array) {
  const graph = new Graph();
  const inputs = [
    graph.input('pixels', [n, height, width], 'words'),
    graph.input('parameters', [n, 16, 1, 1]),
  ] as const;
  const { image, mask } = augmentImages(...inputs, NORMALISATION);
  const total = sum(image);
  const plan = await Plan.compile(on, graph, { outputs: [image, mask, total], poison: true });
  try {
    plan.write(inputs[0], pixels);
    plan.write(inputs[1], parameters);
    plan.run();
    const [imageValues, maskValues, [totalValue]] = await plan.read(image, mask, total);
    return { image: imageValues, mask: maskValues, total: totalValue };
  } finally {
    plan.destroy();
  }
}

/**
 * Compares with the slow definition. Masks may differ where float32 puts a source coordinate on the other side of a
 * half.
 */
async function check(
  on: Device,
  height: number,
  width: number,
  parameters: Float32Array[],
  maskSlack = 0,
): Promise<void> {
  const n = parameters.length;
  const pixels = photos(n, height, width);
  const all = Float32Array.from(parameters.flatMap((p) => [...p]));
  const got = await run(on, n, height, width, pixels, all);
  const area = height * width;
  for (let i = 0; i < n; i++) {
    const expected = applyAugmentation(pixels.subarray(i * area * 4, (i + 1) * area * 4), height, width, parameters[i]);
    let wrong = 0;
    for (let k = 0; k < area; k++) if (got.mask[i * area + k] !== Number(expected.mask[k] !== 0)) wrong++;
    assert.ok(wrong <= maskSlack * area, `image ${i}: ${wrong} of ${area} mask pixels differ`);
    for (let c = 0; c < 3; c++) {
      for (let k = 0; k < area; k++) {
        const value = got.image[(i * 3 + c) * area + k] * NORMALISATION.std[c] + NORMALISATION.mean[c];
        const error = Math.abs(value - expected.image[c * area + k]);
        // Coordinates up to 100 are exact to 1e-5 pixel, and neighbours differ by 1 at most.
        assert.ok(
          error <= 5e-5,
          `image ${i}, channel ${c}, pixel ${k}: ${value} instead of ${expected.image[c * area + k]}`,
        );
      }
    }
  }
  const exact = got.image.reduce((a, b) => a + b, 0);
  const scale = got.image.reduce((a, b) => a + Math.abs(b), 0);
  assert.ok(Math.abs(got.total - exact) <= 1e-5 * scale, 'the pads of the image hold something');
}

const sampled = (count: number, height: number, width: number, settings = defaultAugmentation) =>
  Array.from({ length: count }, (_, i) => sampleAugmentation(settings, 7, 3, i, height, width));

const always = {
  horizontalFlip: { p: 0.5 },
  shiftScaleRotate: { ...defaultAugmentation.shiftScaleRotate, p: 1 },
  colorJitter: { ...defaultAugmentation.colorJitter, p: 1 },
};

test('identity and flip are exact', async () => {
  const flip = identityAugmentation();
  flip.set([-1, 0, 12, 0, 1, 0], augmentationLayout.affine);
  await check(device, 11, 13, [identityAugmentation(), flip]);
});

test('sampled parameters, reflected border', () => check(device, 33, 40, sampled(6, 33, 40, always), 0.01));

test('sampled parameters, zero border', () => {
  const settings = { ...always, shiftScaleRotate: { ...always.shiftScaleRotate, border: 'zero' as const } };
  return check(device, 29, 64, sampled(4, 29, 64, settings), 0.01);
});

test('far outside: several reflections, and an image of one pixel', async () => {
  const far = identityAugmentation();
  far.set([3.7, 0.4, -50.3, -0.6, 4.1, 33.2], augmentationLayout.affine);
  far[augmentationLayout.border] = 1;
  await check(device, 9, 5, [far], 0.03);
  await check(device, 1, 1, [far, identityAugmentation()]);
});

test('every order of the colour steps, factors that clamp', async () => {
  const parameters = colourOrders.map((_, order) => {
    const p = identityAugmentation();
    p[augmentationLayout.brightness] = 1.7;
    p[augmentationLayout.contrast] = 1.9;
    p[augmentationLayout.saturation] = 0.3;
    p[augmentationLayout.order] = order;
    return p;
  });
  await check(device, 17, 19, parameters);
});

test('nearest photo', async () => {
  const p = identityAugmentation();
  p.set([1, 0, 2.25, 0, 1, -1.25], augmentationLayout.affine);
  p[augmentationLayout.bilinear] = 0;
  await check(device, 12, 12, [p]);
});

test('a split batch, and the same bits twice', async () => {
  const [height, width] = [16, 16];
  await check(smallBindings(device, 8192), height, width, sampled(5, height, width, always), 0.02);
  const pixels = photos(5, height, width);
  const parameters = Float32Array.from(sampled(5, height, width, always).flatMap((p) => [...p]));
  const once = await run(device, 5, height, width, pixels, parameters);
  assert.equal(await run(device, 5, height, width, pixels, parameters), once);
  const { image, mask } = await run(smallBindings(device, 8192), 5, height, width, pixels, parameters);
  assert.equal({ image, mask }, { image: once.image, mask: once.mask });
});

test('shape errors', () => {
  const graph = new Graph();
  const pixels = graph.input('pixels', [2, 4, 4], 'words');
  assert.throws(
    () => augmentImages(graph.input('pixels', [2, 1, 4, 4]), graph.input('p', [2, 16, 1, 1]), NORMALISATION),
    /pixels pixels \[2, 1, 4, 4\] \(image\) have to be words \[N, H, W\]/,
  );
  assert.throws(
    () => augmentImages(pixels, graph.input('p', [3, 16, 1, 1]), NORMALISATION),
    /parameters p \[3, 16, 1, 1\] do not fit pixels pixels \[2, 4, 4\]; \[2, 16, 1, 1\] needed/,
  );
  const zero = { ...NORMALISATION, std: [1, 0, 1] } as const;
  assert.throws(() => augmentImages(pixels, graph.input('p', [2, 16, 1, 1]), zero), /std 1, 0, 1 has to be positive/);
});

test.run();
