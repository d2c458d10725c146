/** What the data tests share: temporary directories, small picture files, goldens. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import jpeg from 'jpeg-js';
import { DataError } from '../../data/errors.js';
import { encodeGreyPng, encodeRgbPng } from '../../data/png.js';
import { readSafetensors, type SafetensorsFile } from '../../data/safetensors.js';

/** The repository's root: compiled tests run from dist/tests/data. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Runs `body` with a new directory that is removed afterwards. */
export async function inDirectory<T>(body: (directory: string) => T | Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Writes files given by relative path below `directory`. */
export function writeFiles(directory: string, files: Record<string, Uint8Array | string>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
}

/** height x width RGB values that differ from pixel to pixel and with `tone`. */
export function somePixels(height: number, width: number, tone = 0): Uint8Array {
  return Uint8Array.from({ length: height * width * 3 }, (_, i) => (tone + i * 7) % 256);
}

export function pngPhoto(height: number, width: number, tone = 0): Uint8Array {
  return encodeRgbPng({ height, width, pixels: somePixels(height, width, tone) });
}

/** A JPEG of one colour, which survives the compression to within a level or two. */
export function jpegPhoto(height: number, width: number, [red, green, blue] = [120, 120, 120]): Buffer {
  const data = Buffer.alloc(height * width * 4);
  for (let i = 0; i < data.length; i += 4) data.set([red, green, blue, 255], i);
  return jpeg.encode({ height, width, data }, 95).data;
}

/** A grey PNG whose pixels go through `values` in turn. */
export function pngMask(height: number, width: number, values: readonly number[]): Uint8Array {
  return encodeGreyPng(Uint8Array.from({ length: height * width }, (_, i) => values[i % values.length]), height, width);
}

/** The smallest GIF: one pixel. */
export const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==', 'base64');

/** The message of the DataError that `body` ends with; anything else fails. */
export async function dataError(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    if (error instanceof DataError) return error.message;
    throw error;
  }
  throw new Error('expected a DataError');
}

export interface GoldenCase extends SafetensorsFile {
  options: Record<string, unknown>;
  /** Passes or throws by the case's own tolerance; a value that is not a number fails. */
  check: (tensor: string, got: ArrayLike<number>) => void;
}

interface Tolerance {
  rule: 'exact' | 'image' | 'max';
  rtol: number;
  atol: number;
  max_abs: number;
  mean_abs: number;
  frac: number;
}

export function golden(name: string): GoldenCase {
  const file = readSafetensors(join(root, 'tests', 'golden', `${name}.safetensors`));
  const tolerance = JSON.parse(file.metadata.tolerance) as { default: Tolerance; tensors?: Record<string, Tolerance> };
  const check = (tensor: string, got: ArrayLike<number>) => {
    const { data } = file.tensors.get(tensor)!;
    const rule = tolerance.tensors?.[tensor] ?? tolerance.default;
    const errors = Array.from(data, (value, i) => Math.abs(got[i] - value));
    const worst = errors.reduce((a, b) => (b <= a ? a : b), 0);
    const mean = errors.reduce((a, b) => a + b, 0) / errors.length;
    const beyond = errors.filter((error) => !(error <= rule.max_abs)).length / errors.length;
    const largest = data.reduce((a: number, b: number) => Math.max(a, Math.abs(b)), 0);
    const pass = {
      exact: worst === 0,
      max: worst <= rule.atol + rule.rtol * largest,
      image: mean <= rule.mean_abs && beyond <= rule.frac,
    }[rule.rule];
    if (!pass || got.length !== data.length) {
      throw new Error(`${name} ${tensor}: worst ${worst}, mean ${mean}, share beyond ${beyond}, ${got.length} of ${data.length} values`);
    }
  };
  return { ...file, options: JSON.parse(file.metadata.options) as Record<string, unknown>, check };
}
