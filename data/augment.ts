/**
 * Augmentation: drawing its parameters, and the slow, obvious way of applying them that the kernel is tested against.
 *
 * One geometry moves photo and mask. The order is horizontal flip, shift-scale-rotate, then colour. Sources:
 * albumentations `ShiftScaleRotate` (its matrix, `cv2.warpAffine`), torchvision `ColorJitter` (on floats, random order,
 * without hue).
 */
import { Random } from '../engine/random.js';

/** Probabilities are per sample; ranges are [low, high]. */
export interface AugmentSettings {
  horizontalFlip: { p: number };
  /**
   * Shift uniform in -shift .. shift of the image's width and height, scale 1 + uniform(-scale, scale), angle uniform
   * in -rotate .. rotate degrees counter-clockwise about the centre; outside the image comes what `border` says.
   */
  shiftScaleRotate: { p: number; shift: number; scale: number; rotate: number; border: 'zero' | 'reflect101' };
  /** Factors; 1 leaves the image as it is. */
  colorJitter: { p: number; brightness: Range; contrast: Range; saturation: Range };
}

export type Range = readonly [low: number, high: number];

/** Report 3's augmentation. */
export const defaultAugmentation: AugmentSettings = {
  horizontalFlip: { p: 0.5 },
  shiftScaleRotate: { p: 0.5, shift: 0.2, scale: 0.2, rotate: 15, border: 'reflect101' },
  colorJitter: { p: 0.5, brightness: [0.8, 1.2], contrast: [0.8, 1.2], saturation: [0.8, 1.2] },
};

/** Floats per sample. */
export const augmentationFloats = 16;

/**
 * Where each parameter stands among a sample's floats. `affine` (6 floats a, b, c, d, e, f): the output pixel at column
 * x and row y shows the source at column a x + b y + c and row d x + e y + f, in pixel coordinates whose integers are
 * pixel centres. `order`: which of `colourOrders`. `border`: 0 zero (mask background), 1 reflect101. `bilinear`: 1 for
 * the photo, or 0 nearest; masks are nearest always.
 */
export const augmentationLayout = {
  affine: 0,
  brightness: 6,
  contrast: 7,
  saturation: 8,
  order: 9,
  border: 10,
  bilinear: 11,
} as const;

export type ColourStep = 'brightness' | 'contrast' | 'saturation';

/** All orders of the three steps, lexicographic. */
export const colourOrders: readonly (readonly [ColourStep, ColourStep, ColourStep])[] = [
  ['brightness', 'contrast', 'saturation'],
  ['brightness', 'saturation', 'contrast'],
  ['contrast', 'brightness', 'saturation'],
  ['contrast', 'saturation', 'brightness'],
  ['saturation', 'brightness', 'contrast'],
  ['saturation', 'contrast', 'brightness'],
];

/** Weights of red, green and blue in grey, as torchvision has them (ITU-R BT.601 with the first cut to four digits). */
export const greyWeights = [0.2989, 0.587, 0.114] as const;

/** Parameters that leave a sample as it is. */
export function identityAugmentation(): Float32Array<ArrayBuffer> {
  const result = new Float32Array(augmentationFloats);
  const { affine, brightness, contrast, saturation, bilinear } = augmentationLayout;
  for (const at of [affine, affine + 4, brightness, contrast, saturation, bilinear]) result[at] = 1;
  return result;
}

/**
 * Draws the parameters of one sample in one epoch. They depend on the arguments alone, so neither batch size nor the
 * order of asking changes them. Every number is drawn whether it is used or not, so that one probability does not
 * change what the others give.
 */
export function sampleAugmentation(
  { horizontalFlip, shiftScaleRotate, colorJitter }: AugmentSettings,
  seed: number,
  epoch: number,
  sampleIndex: number,
  height: number,
  width: number,
): Float32Array<ArrayBuffer> {
  const random = new Random('augment', seed, epoch, sampleIndex);
  const result = identityAugmentation();
  const at = augmentationLayout;

  const flips = random.uniform() < horizontalFlip.p;
  const moves = random.uniform() < shiftScaleRotate.p;
  const recolours = random.uniform() < colorJitter.p;
  const angle = random.uniform(-shiftScaleRotate.rotate, shiftScaleRotate.rotate);
  const scale = 1 + random.uniform(-shiftScaleRotate.scale, shiftScaleRotate.scale);
  const dx = random.uniform(-shiftScaleRotate.shift, shiftScaleRotate.shift) * width;
  const dy = random.uniform(-shiftScaleRotate.shift, shiftScaleRotate.shift) * height;
  const factors = [colorJitter.brightness, colorJitter.contrast, colorJitter.saturation].map((range) =>
    random.uniform(...range),
  );
  const order = random.integer(colourOrders.length);

  let matrix: Affine = [1, 0, 0, 0, 1, 0];
  if (moves) matrix = inverseRotation(angle, scale, dx, dy, height, width);
  if (flips) matrix = [-matrix[0], -matrix[1], width - 1 - matrix[2], matrix[3], matrix[4], matrix[5]];
  result.set(matrix, at.affine);
  if (recolours) {
    result.set(factors, at.brightness);
    result[at.order] = order;
  }
  result[at.border] = shiftScaleRotate.border === 'reflect101' ? 1 : 0;
  return result;
}

type Affine = [a: number, b: number, c: number, d: number, e: number, f: number];

/**
 * The map from output to source of: rotate by `angle` degrees counter-clockwise as seen and scale about the centre,
 * then shift by (dx, dy). Forward, p' = s R (p - centre) + centre + shift, so p = R^T (p' - centre - shift) / s +
 * centre; y points down.
 */
function inverseRotation(angle: number, scale: number, dx: number, dy: number, height: number, width: number): Affine {
  const radians = (angle * Math.PI) / 180;
  const cos = Math.cos(radians) / scale;
  const sin = Math.sin(radians) / scale;
  const cx = (width - 1) / 2;
  const cy = (height - 1) / 2;
  const tx = cx + dx;
  const ty = cy + dy;
  return [cos, -sin, cx - cos * tx + sin * ty, sin, cos, cy - sin * tx - cos * ty];
}

/** A sample as the network takes it: `image` is 3 x height x width in 0 .. 1, `mask` height x width of mask bytes. */
export interface AugmentedSample {
  image: Float32Array;
  mask: Uint8Array;
}

/**
 * Applies parameters to a record of height x width x (R, G, B, mask). The reference for the kernel: obvious, and slow.
 */
export function applyAugmentation(
  record: Uint8Array,
  height: number,
  width: number,
  parameters: Float32Array,
): AugmentedSample {
  const result = warp(record, height, width, parameters);
  const at = augmentationLayout;
  for (const step of colourOrders[parameters[at.order]]) recolour(result.image, step, parameters[at[step]]);
  return result;
}

/**
 * Position i of a line of n pixels continued on both sides by mirroring without repeating the edge pixel: 2 1 | 0 1 2 |
 * 1 0.
 */
function reflect101(i: number, n: number): number {
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const inPeriod = ((i % period) + period) % period;
  return inPeriod < n ? inPeriod : period - inPeriod;
}

function warp(record: Uint8Array, height: number, width: number, parameters: Float32Array): AugmentedSample {
  const [a, b, c, d, e, f] = parameters;
  const reflect = parameters[augmentationLayout.border] === 1;
  const bilinear = parameters[augmentationLayout.bilinear] === 1;

  /** Byte `channel` of the source pixel at whole numbers x and y, 0 outside unless mirrored. */
  const source = (x: number, y: number, channel: number): number => {
    const inside = x >= 0 && x < width && y >= 0 && y < height;
    if (!inside && !reflect) return 0;
    return record[(reflect101(y, height) * width + reflect101(x, width)) * 4 + channel];
  };

  const area = height * width;
  const image = new Float32Array(3 * area);
  const mask = new Uint8Array(area);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sx = a * x + b * y + c;
      const sy = d * x + e * y + f;
      const nearestX = Math.floor(sx + 0.5);
      const nearestY = Math.floor(sy + 0.5);
      mask[y * width + x] = source(nearestX, nearestY, 3);
      const left = Math.floor(sx);
      const top = Math.floor(sy);
      const u = sx - left;
      const v = sy - top;
      for (let channel = 0; channel < 3; channel++) {
        const upper = (1 - u) * source(left, top, channel) + u * source(left + 1, top, channel);
        const lower = (1 - u) * source(left, top + 1, channel) + u * source(left + 1, top + 1, channel);
        const value = bilinear ? (1 - v) * upper + v * lower : source(nearestX, nearestY, channel);
        image[channel * area + y * width + x] = value / 255;
      }
    }
  }
  return { image, mask };
}

const clamp01 = (value: number) => Math.min(1, Math.max(0, value));

/**
 * One colour step in place on 3 x height x width values in 0 .. 1, clamped to 0 .. 1. Each blends the pixel with
 * something else, factor * pixel + (1 - factor) * other: with black (brightness), with the image's mean grey
 * (contrast), with the pixel's own grey (saturation).
 */
function recolour(image: Float32Array, step: ColourStep, factor: number): void {
  if (factor === 1) return;
  const area = image.length / 3;
  const grey = new Float64Array(area);
  for (let i = 0; i < area; i++) {
    grey[i] = greyWeights[0] * image[i] + greyWeights[1] * image[area + i] + greyWeights[2] * image[2 * area + i];
  }
  const meanGrey = grey.reduce((sum, value) => sum + value, 0) / area;
  for (let i = 0; i < area; i++) {
    const other = { brightness: 0, contrast: meanGrey, saturation: grey[i] }[step];
    for (let at = i; at < image.length; at += area) image[at] = clamp01(factor * image[at] + (1 - factor) * other);
  }
}
