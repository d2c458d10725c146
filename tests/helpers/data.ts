/** What the data tests share: temporary directories, small picture files, goldens. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import jpeg from 'jpeg-js';
import type { Rule } from '../../cli/verify/golden.js';
import { judge } from '../../cli/verify/judge.js';
import { DataError } from '../../data/errors.js';
import { encodeGreyPng, encodeRgbPng } from '../../data/png.js';
import { readSafetensors, type SafetensorsFile } from '../../data/safetensors.js';

/** The repository's root: this file runs as dist/tests/helpers/data.js. */
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
  return encodeGreyPng(
    Uint8Array.from({ length: height * width }, (_, i) => values[i % values.length]),
    height,
    width,
  );
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

export interface ImageCase extends SafetensorsFile {
  options: Record<string, unknown>;
  /** Throws when a result is not within the tolerance that the case gives. */
  check: (tensor: string, got: ArrayLike<number>) => void;
}

/** A case of tests/golden with its own tolerance, judged as `trimap verify` does. */
export function imageCase(name: string): ImageCase {
  const file = readSafetensors(join(root, 'tests', 'golden', `${name}.safetensors`));
  const tolerance = JSON.parse(file.metadata.tolerance) as { default: Rule; tensors?: Record<string, Rule> };
  const check = (tensor: string, got: ArrayLike<number>) => {
    const rule = tolerance.tensors?.[tensor] ?? tolerance.default;
    const { ratio, where } = judge(tensor, got, file.tensors.get(tensor)!.data, rule);
    if (!(ratio <= 1)) throw new Error(`${name} ${tensor}: ${ratio} times the tolerance, ${where}`);
  };
  return { ...file, options: JSON.parse(file.metadata.options) as Record<string, unknown>, check };
}
