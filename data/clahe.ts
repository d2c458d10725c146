/**
 * Contrast-limited adaptive histogram equalisation as OpenCV does it, and OpenCV's Lab: the slow, obvious form that the
 * kernel is tested against. Source: opencv `modules/imgproc/src/clahe.cpp`, `color_lab.cpp`.
 */
import { equalisedPlanes } from '../engine/augmentation.js';

type Rgb = readonly [number, number, number];

const clamp01 = (value: number): number => Math.min(1, Math.max(0, value));

/** Half to even, as OpenCV and WGSL round. */
function round(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest === 0.5 ? below + (below % 2) : below + Number(rest > 0.5);
}

const toXyz = [
  [0.412453, 0.35758, 0.180423],
  [0.212671, 0.71516, 0.072169],
  [0.019334, 0.119193, 0.950227],
];
const fromXyz = [
  [3.240479, -1.53715, -0.498535],
  [-0.969256, 1.875991, 0.041556],
  [0.055648, -0.204043, 1.057311],
];
/** D65. */
const white = [0.950456, 1, 1.088754];

const times = (matrix: readonly (readonly number[])[], vector: readonly number[]): number[] =>
  matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i], 0));

/** sRGB in 0 .. 1 to CIE Lab: L in 0 .. 100. */
export function rgbToLab(rgb: Rgb): [number, number, number] {
  const linear = rgb.map((value) => (value > 0.04045 ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92));
  const xyz = times(toXyz, linear).map((value, i) => value / white[i]);
  const [fx, fy, fz] = xyz.map((value) => (value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116));
  const lightness = xyz[1] > 0.008856 ? 116 * fy - 16 : 903.3 * xyz[1];
  return [lightness, 500 * (fx - fy), 200 * (fy - fz)];
}

/** CIE Lab to sRGB, clamped to 0 .. 1. */
export function labToRgb([lightness, a, b]: Rgb): [number, number, number] {
  const fy = lightness > 8 ? (lightness + 16) / 116 : 7.787 * (lightness / 903.3) + 16 / 116;
  const xyz = [fy + a / 500, fy, fy - b / 200].map((f, i) => {
    const value = f > 7.787 * 0.008856 + 16 / 116 ? f ** 3 : (f - 16 / 116) / 7.787;
    return value * white[i];
  });
  const rgb = times(fromXyz, xyz).map((value) => {
    const linear = clamp01(value);
    return clamp01(linear > 0.0031308 ? 1.055 * linear ** (1 / 2.4) - 0.055 : 12.92 * linear);
  });
  return rgb as [number, number, number];
}

/**
 * The levels 0 .. 255 of height x width pixels, equalised.
 *
 * Each tile has a table: its histogram, clipped at max(int(clip * area / 256), 1) a level; what was clipped is spread
 * evenly, the remainder one each at levels 0, s, 2 s, ... with s = max(floor(256 / remainder), 1); the cumulated
 * histogram times 255 / area, rounded. A pixel takes the four nearest tiles' tables, bilinearly between their centres.
 * If either side is no multiple of its tiles, both are made longer by tiles - side mod tiles, mirrored.
 */
export function equaliseLevels(
  levels: Uint8Array,
  height: number,
  width: number,
  clip: number,
  [tilesX, tilesY]: readonly [number, number],
): Uint8Array {
  const divides = width % tilesX === 0 && height % tilesY === 0;
  const tileWidth = (divides ? width : width + tilesX - (width % tilesX)) / tilesX;
  const tileHeight = (divides ? height : height + tilesY - (height % tilesY)) / tilesY;
  const area = tileWidth * tileHeight;
  const mirror = (i: number, n: number) => {
    if (n === 1) return 0;
    const inPeriod = i % (2 * (n - 1));
    return Math.min(inPeriod, 2 * (n - 1) - inPeriod);
  };

  const tables = Array.from({ length: tilesX * tilesY }, (_, tile) => {
    const histogram = new Array<number>(256).fill(0);
    for (let i = 0; i < area; i++) {
      const x = (tile % tilesX) * tileWidth + (i % tileWidth);
      const y = Math.floor(tile / tilesX) * tileHeight + Math.floor(i / tileWidth);
      histogram[levels[mirror(y, height) * width + mirror(x, width)]]++;
    }
    const limit = Math.max(Math.floor((clip * area) / 256), 1);
    const excess = histogram.reduce((sum, count) => sum + Math.max(0, count - limit), 0);
    const remainder = excess % 256;
    const distance = Math.max(Math.floor(256 / remainder), 1);
    let cumulated = 0;
    return histogram.map((count, level) => {
      const extra = level % distance === 0 && level / distance < remainder ? 1 : 0;
      cumulated += Math.min(count, limit) + Math.floor(excess / 256) + extra;
      return round((cumulated * 255) / area);
    });
  });

  return levels.map((level, i) => {
    const at = [(i % width) / tileWidth - 0.5, Math.floor(i / width) / tileHeight - 0.5];
    const [x0, y0] = at.map((value) => Math.max(Math.floor(value), 0));
    const x1 = Math.min(Math.floor(at[0]) + 1, tilesX - 1);
    const y1 = Math.min(Math.floor(at[1]) + 1, tilesY - 1);
    const [wx, wy] = at.map((value) => value - Math.floor(value));
    const table = (x: number, y: number) => tables[y * tilesX + x][level];
    const upper = (1 - wx) * table(x0, y0) + wx * table(x1, y0);
    const lower = (1 - wx) * table(x0, y1) + wx * table(x1, y1);
    return round((1 - wy) * upper + wy * lower);
  });
}

/** Equalises 3 x height x width values in 0 .. 1 in place; `plane` is one of `equalisedPlanes`. */
export function equalise(
  image: Float64Array,
  height: number,
  width: number,
  clip: number,
  tiles: readonly [number, number],
  plane: number,
): void {
  const area = height * width;
  const rgbAt = (i: number): Rgb => [image[i], image[area + i], image[2 * area + i]];
  const grey = plane === equalisedPlanes.grey;
  const levels = Uint8Array.from({ length: area }, (_, i) =>
    round(255 * clamp01(grey ? image[i] : rgbToLab(rgbAt(i))[0] / 100)),
  );
  equaliseLevels(levels, height, width, clip, tiles).forEach((level, i) => {
    const value = level / 255;
    const [, a, b] = rgbToLab(rgbAt(i));
    const rgb = grey ? [value, value, value] : labToRgb([100 * value, a, b]);
    rgb.forEach((channel, c) => (image[c * area + i] = channel));
  });
}
