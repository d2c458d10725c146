/** From the two files of a sample to its record in the cache. */
import { readFileSync } from 'node:fs';
import type { MaskRule } from './dataset.js';
import { decodeMask, decodePhoto, type MaskFile, type Photo } from './decode.js';
import { DecodeError, type BadFile } from './errors.js';
import { background, countValues, foreground, trimapBytes, type MaskValues } from './maskValues.js';
import { resizeMask, resizePhoto } from './resize.js';

/** A sample to read: absolute paths, and what its mask means. */
export interface PairJob {
  image: string;
  mask: string;
  maskRule: MaskRule;
}

/** A sample to read, and the size that it is wanted in. */
export interface PrepareJob extends PairJob {
  height: number;
  width: number;
}

/** What can be wrong with a pair: a file cannot be decoded, the sizes differ, or the mask is no trimap. */
export interface PairFault extends BadFile {
  kind: 'unreadable' | 'size' | 'values';
}

/** The two files of a sample, decoded. The mask's values are counted; what they mean is checked for trimaps only. */
export interface Pair {
  photo: Photo;
  mask: MaskFile;
  values: MaskValues;
}

/**
 * Either why the sample cannot be used, or its record: height x width pixels of four bytes R, G, B, M with M = 0
 * background, 1 foreground, 2 border. `foreground` counts the pixels with M other than 0; `values` is for masks whose
 * values are decided over all files.
 */
export type PrepareResult =
  { bad: BadFile[] } | { bad?: undefined; pixels: Uint8Array<ArrayBuffer>; foreground: number; values?: MaskValues };

/**
 * Reads, decodes and resizes one sample. Faults of its files are returned, both files' at once; anything else is
 * thrown.
 */
export function prepareSample(job: PrepareJob): PrepareResult {
  const { pair, bad } = readPair(job);
  if (!pair) return { bad };
  return { ...toRecord(pair.photo, pair.mask, job), ...(job.maskRule === 'binary' && { values: pair.values }) };
}

/** Reads one sample at its own size: the pair, or everything that is wrong with its files. */
export function readPair(job: PairJob): { pair: Pair; bad?: undefined } | { pair?: undefined; bad: PairFault[] } {
  const bad: PairFault[] = [];
  const photo = readAs(job.image, decodePhoto, bad);
  const mask = readAs(job.mask, decodeMask, bad);
  if (photo && mask && (photo.height !== mask.height || photo.width !== mask.width)) {
    const sizes = `${mask.width}x${mask.height}, but its photo ${job.image} has ${photo.width}x${photo.height}`;
    bad.push({ file: job.mask, kind: 'size', reason: `has ${sizes} pixels` });
  }
  const values = mask && countValues(mask);
  if (values && job.maskRule === 'trimap') {
    const wrong = values.counts.filter(([value]) => values.kind === 'colour' || trimapBytes[value] === undefined);
    if (wrong.length > 0) {
      const found = wrong.slice(0, 10).map(([value, pixels]) => `${value} (${pixels} pixels)`);
      bad.push({ file: job.mask, kind: 'values', reason: `is no trimap of 1, 2 and 3: it holds ${found.join(', ')}` });
    }
  }
  return photo && mask && values && bad.length === 0 ? { pair: { photo, mask, values } } : { bad };
}

function readAs<T>(file: string, decode: (bytes: Uint8Array, file: string) => T, bad: PairFault[]): T | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    bad.push({ file, kind: 'unreadable', reason: `cannot be read (${(error as Error).message})` });
    return undefined;
  }
  try {
    return decode(bytes, file);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    bad.push({ file, kind: 'unreadable', reason: error.reason });
    return undefined;
  }
}

function toRecord(
  photo: Photo,
  mask: MaskFile,
  job: PrepareJob,
): { pixels: Uint8Array<ArrayBuffer>; foreground: number } {
  const { height, width } = job;
  const rgb = resizePhoto(photo, height, width).pixels;
  const values = resizeMask(mask.values, mask.height, mask.width, height, width);
  const pixels = new Uint8Array(height * width * 4);
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    const byte = job.maskRule === 'trimap' ? (trimapBytes[value] ?? background) : value === 0 ? background : foreground;
    pixels[i * 4] = rgb[i * 3];
    pixels[i * 4 + 1] = rgb[i * 3 + 1];
    pixels[i * 4 + 2] = rgb[i * 3 + 2];
    pixels[i * 4 + 3] = byte;
    if (byte !== background) count++;
  }
  return { pixels, foreground: count };
}
