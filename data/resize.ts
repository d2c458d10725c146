/**
 * Resizing in Pillow's convention, to the bit: a triangle filter widened by the shrink factor, horizontal pass then
 * vertical pass, rounded to bytes after each; masks take the nearest pixel. Source: Pillow, `src/libImaging/Resample.c`
 * and `Geometry.c`.
 */
import type { Photo } from './decode.js';

// Pillow's fixed point: weights are integers of 22 fractional bits, so that 255 times their sum stays below 2^31.
const precisionBits = 22;

/** For each output position: the first input position and the weights of the following ones, which add up to 1. */
interface FilterTaps {
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array;
  stride: number;
}

function triangleTaps(inSize: number, outSize: number): FilterTaps {
  const scale = inSize / outSize;
  const support = Math.max(scale, 1);
  const stride = Math.ceil(support) * 2 + 1;
  const taps = {
    first: new Int32Array(outSize),
    count: new Int32Array(outSize),
    weights: new Int32Array(outSize * stride),
    stride,
  };
  const weights = new Float64Array(stride);
  for (let out = 0; out < outSize; out++) {
    const center = (out + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const count = Math.min(Math.trunc(center + support + 0.5), inSize) - first;
    let total = 0;
    for (let k = 0; k < count; k++) {
      weights[k] = Math.max(0, 1 - Math.abs((first + k - center + 0.5) / support));
      total += weights[k];
    }
    for (let k = 0; k < count; k++) {
      taps.weights[out * stride + k] = Math.trunc(0.5 + (weights[k] / total) * 2 ** precisionBits);
    }
    taps.first[out] = first;
    taps.count[out] = count;
  }
  return taps;
}

const half = 1 << (precisionBits - 1);

function resizeRows(source: Uint8Array, height: number, inWidth: number, outWidth: number): Uint8Array {
  if (inWidth === outWidth) return source;
  const { first, count, weights, stride } = triangleTaps(inWidth, outWidth);
  const result = new Uint8Array(height * outWidth * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++, to += 3) {
      let red = half;
      let green = half;
      let blue = half;
      let from = (y * inWidth + first[x]) * 3;
      for (let k = x * stride, end = k + count[x]; k < end; k++, from += 3) {
        red += weights[k] * source[from];
        green += weights[k] * source[from + 1];
        blue += weights[k] * source[from + 2];
      }
      result[to] = red >> precisionBits;
      result[to + 1] = green >> precisionBits;
      result[to + 2] = blue >> precisionBits;
    }
  }
  return result;
}

function resizeColumns(source: Uint8Array, inHeight: number, outHeight: number, width: number): Uint8Array {
  if (inHeight === outHeight) return source;
  const { first, count, weights, stride } = triangleTaps(inHeight, outHeight);
  const rowBytes = width * 3;
  const result = new Uint8Array(outHeight * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(half);
    for (let k = 0; k < count[y]; k++) {
      const weight = weights[y * stride + k];
      const from = (first[y] + k) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i] += weight * source[from + i];
    }
    const to = y * rowBytes;
    for (let i = 0; i < rowBytes; i++) result[to + i] = sums[i] >> precisionBits;
  }
  return result;
}

/** Resizes a photo to height x width with the widened triangle filter; the same size gives the same pixels. */
export function resizePhoto(photo: Photo, height: number, width: number): Photo {
  const rows = resizeRows(photo.pixels, photo.height, photo.width, width);
  return { height, width, pixels: resizeColumns(rows, photo.height, height, width) };
}

/**
 * Resizes values of inHeight x inWidth to outHeight x outWidth; output position i takes input floor((i + 0.5) * in /
 * out).
 */
export function resizeMask<T extends Uint8Array | Uint32Array>(
  values: T,
  inHeight: number,
  inWidth: number,
  outHeight: number,
  outWidth: number,
): T {
  const nearest = (i: number, inSize: number, outSize: number) => Math.floor(((i + 0.5) * inSize) / outSize);
  const columns = Int32Array.from({ length: outWidth }, (_, x) => nearest(x, inWidth, outWidth));
  const result = new (values.constructor as new (length: number) => T)(outHeight * outWidth);
  for (let y = 0, to = 0; y < outHeight; y++) {
    const row = nearest(y, inHeight, outHeight) * inWidth;
    for (let x = 0; x < outWidth; x++) result[to++] = values[row + columns[x]];
  }
  return result;
}
