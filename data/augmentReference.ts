/**
 * Augmentation as it is defined: the slow, obvious sibling of `engine/ops/augmentImages.ts`, which is tested against it.
 */
import { augmentationLayout as at, colourSteps, greyWeights, programSteps } from '../engine/augmentation.js';
import { equalise } from './clahe.js';

/** A sample as the network takes it: `image` is 3 x height x width in 0 .. 1, `mask` height x width of mask bytes. */
export interface AugmentedSample {
  image: Float32Array;
  mask: Uint8Array;
}

/**
 * Applies parameters to a record of height x width x (R, G, B, mask).
 * @param tiles of the equalisation, in x and y
 */
export function applyAugmentation(
  record: Uint8Array,
  height: number,
  width: number,
  parameters: Float32Array,
  tiles: readonly [number, number] = [8, 8],
): AugmentedSample {
  const { image, mask } = warp(record, height, width, parameters);
  for (let k = 0; k < programSteps; k++) {
    const [step, ...values] = parameters.subarray(at.program + 4 * k, at.program + 4 * k + 4);
    if (step === colourSteps.end) break;
    if (step === colourSteps.clahe) equalise(image, height, width, values[0], tiles, values[1]);
    else recolour(image, step, values);
  }
  return { image: Float32Array.from(image), mask };
}

/**
 * A position on a line of n pixels continued on both sides by mirroring without repeating the edge pixel: 2 1 | 0 1 2 |
 * 1 0.
 */
function mirror(u: number, n: number): number {
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const inPeriod = u - Math.floor(u / period) * period;
  return Math.min(inPeriod, period - inPeriod);
}

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** Keys' cubic convolution with a = -1/2, at distance x from a node. */
function cubic(x: number): number {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}

/** Bicubic between 3 x 3 displacements whose outermost are repeated outwards. */
function displacement(nodes: Float32Array, x: number, y: number, height: number, width: number): [number, number] {
  const tx = width === 1 ? 0 : (2 * x) / (width - 1);
  const ty = height === 1 ? 0 : (2 * y) / (height - 1);
  let [dx, dy] = [0, 0];
  for (let row = -1; row <= 3; row++) {
    for (let column = -1; column <= 3; column++) {
      const weight = cubic(tx - column) * cubic(ty - row);
      const node = 2 * (3 * clamp(row, 0, 2) + clamp(column, 0, 2));
      dx += weight * nodes[node];
      dy += weight * nodes[node + 1];
    }
  }
  return [dx, dy];
}

function warp(
  record: Uint8Array,
  height: number,
  width: number,
  parameters: Float32Array,
): { image: Float64Array; mask: Uint8Array } {
  const [a, b, c, d, e, f] = parameters;
  const reflect = parameters[at.border] === 1;
  const nodes = parameters.subarray(at.elastic, at.elastic + 18);
  const [left, top, right, bottom, scaleX, scaleY] = parameters.subarray(at.box, at.box + 6);
  const [lastColumn, lastRow] = [Math.min(right, width) - 1, Math.min(bottom, height) - 1];

  const area = height * width;
  const image = new Float64Array(3 * area);
  const mask = new Uint8Array(area);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const i = row * width + column;
      let [x, y] = [column, row];
      if (parameters[at.elasticOn] === 1) {
        const [dx, dy] = displacement(nodes, column, row, height, width);
        [x, y] = [x + dx, y + dy];
      }
      let u = a * x + b * y + c;
      let v = d * x + e * y + f;
      let coverage = 1;
      let inside = true;
      if (reflect) {
        [u, v] = [mirror(u, width), mirror(v, height)];
      } else {
        // What bilinear interpolation with zeros outside gives.
        const share = (w: number, n: number) => Math.max(0, 1 - Math.max(-w, w - (n - 1), 0));
        coverage = share(u, width) * share(v, height);
        inside = u >= -0.5 && u < width - 0.5 && v >= -0.5 && v < height - 0.5;
      }
      const boxX = left + (u + 0.5) * scaleX;
      const boxY = top + (v + 0.5) * scaleY;
      // A position that is a whole number may come out a rounding below it.
      const nearestX = clamp(Math.floor(boxX + 1e-4), left, lastColumn);
      const nearestY = clamp(Math.floor(boxY + 1e-4), top, lastRow);
      if (inside) mask[i] = record[(nearestY * width + nearestX) * 4 + 3];

      const sx = clamp(boxX - 0.5, left, lastColumn);
      const sy = clamp(boxY - 0.5, top, lastRow);
      const [x0, y0] = [Math.floor(sx), Math.floor(sy)];
      const [x1, y1] = [Math.min(x0 + 1, lastColumn), Math.min(y0 + 1, lastRow)];
      for (let channel = 0; channel < 3; channel++) {
        const pixel = (px: number, py: number) => record[(py * width + px) * 4 + channel] / 255;
        const upper = (1 - (sx - x0)) * pixel(x0, y0) + (sx - x0) * pixel(x1, y0);
        const lower = (1 - (sx - x0)) * pixel(x0, y1) + (sx - x0) * pixel(x1, y1);
        image[channel * area + i] = coverage * ((1 - (sy - y0)) * upper + (sy - y0) * lower);
      }
    }
  }
  return { image, mask };
}

const greyOf = (rgb: readonly number[]): number => rgb.reduce((sum, value, c) => sum + greyWeights[c] * value, 0);

/** The mean of a function of the pixels. */
function meanOver(image: Float64Array, of: (rgb: readonly number[]) => number): number {
  const area = image.length / 3;
  let sum = 0;
  for (let i = 0; i < area; i++) sum += of([image[i], image[area + i], image[2 * area + i]]);
  return sum / area;
}

/** One step of `colourSteps` in place on 3 x height x width values in 0 .. 1. */
function recolour(image: Float64Array, step: number, values: readonly number[]): void {
  const map = mapOf(image, step, values);
  const area = image.length / 3;
  for (let i = 0; i < area; i++) {
    const rgb = map([image[i], image[area + i], image[2 * area + i]]);
    rgb.forEach((value, c) => (image[c * area + i] = clamp(value, 0, 1)));
  }
}

function mapOf(
  image: Float64Array,
  step: number,
  values: readonly number[],
): (rgb: readonly number[]) => readonly number[] {
  const [first, second, third] = values;
  const blend = (rgb: readonly number[], other: number) => rgb.map((value) => first * value + (1 - first) * other);
  switch (step) {
    case colourSteps.brightness:
      return (rgb) => blend(rgb, 0);
    case colourSteps.contrast: {
      const mean = meanOver(image, greyOf);
      return (rgb) => blend(rgb, mean);
    }
    case colourSteps.saturation:
      return (rgb) => blend(rgb, greyOf(rgb));
    case colourSteps.hue:
      return (rgb) => shiftHue(rgb, first);
    case colourSteps.gamma:
      return (rgb) => rgb.map((value) => value ** first);
    case colourSteps.channelShuffle:
      return (rgb) => values.map((channel) => rgb[channel]);
    case colourSteps.brightnessContrast: {
      const unit = third < 0 ? 1 : meanOver(image, ([r, g, b]) => (r + g + b) / 3);
      return (rgb) => rgb.map((value) => first * value + second * unit);
    }
    case colourSteps.toneCurve:
      return (rgb) => rgb.map((t) => 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t * t * second + t ** 3);
    default:
      throw new Error(`no colour step ${step}`);
  }
}

/** By way of HSV, as torchvision `adjust_hue` does. */
function shiftHue(rgb: readonly number[], shift: number): number[] {
  const [r, g, b] = rgb;
  const value = Math.max(r, g, b);
  const chroma = value - Math.min(r, g, b);
  if (chroma === 0) return [...rgb];
  const sixths = value === r ? (g - b) / chroma : value === g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
  const hue = (((sixths / 6 + shift) % 1) + 1) % 1;
  const sector = Math.floor(hue * 6) % 6;
  const part = hue * 6 - Math.floor(hue * 6);
  const [low, falling, rising] = [value - chroma, value - chroma * part, value - chroma * (1 - part)];
  return [
    [value, rising, low],
    [falling, value, low],
    [low, value, rising],
    [low, falling, value],
    [rising, low, value],
    [value, low, falling],
  ][sector];
}
