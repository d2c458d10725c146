/** Masks of photos at their own sizes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodePhoto, type Photo } from '../data/decode.js';
import { writeFileAtomic } from '../data/files.js';
import { drawOverlay, encodeMaskPng, encodeRgbPng } from '../data/png.js';
import { resizePhoto } from '../data/resize.js';
import type { EvaluationStep } from '../nets/evaluationStep.js';
import { unaugmented } from './evaluation.js';

/** How many of `photos` are worth one step: a few, since most of the time goes into decoding and resizing. */
export const predictionBatch = (photos: number): number => Math.min(4, photos);

/** A photo, and where its mask and overlay go: `masks/NAME.png` and `overlays/NAME.png`. */
export interface PhotoFile {
  file: string;
  name: string;
}

/** How many masks were predicted, and how many of them are without foreground, or without background. */
export interface MaskSummary {
  masks: number;
  empty: number;
  full: number;
}

/**
 * Bilinear resizing of one height x width map with half-pixel centres, clamped at the edges: what the net's own resizing
 * does. Logits are resized before the threshold, so that the edge is smooth at any size.
 */
export function resizeLogits(
  logits: Float32Array,
  height: number,
  width: number,
  outHeight: number,
  outWidth: number,
): Float32Array {
  const places = (size: number, outSize: number) =>
    Array.from({ length: outSize }, (_, i) => {
      const at = Math.min(Math.max(((i + 0.5) * size) / outSize - 0.5, 0), size - 1);
      const low = Math.floor(at);
      return { low, high: Math.min(low + 1, size - 1), part: at - low };
    });
  const columns = places(width, outWidth);
  const out = new Float32Array(outHeight * outWidth);
  places(height, outHeight).forEach((row, y) => {
    const above = row.low * width;
    const below = row.high * width;
    columns.forEach(({ low, high, part }, x) => {
      const upper = logits[above + low] * (1 - part) + logits[above + high] * part;
      const lower = logits[below + low] * (1 - part) + logits[below + high] * part;
      out[y * outWidth + x] = upper * (1 - row.part) + lower * row.part;
    });
  });
  return out;
}

/** Photo as packed pixels (R, G, B, and a mask byte that nobody reads) of size x size. */
function packPhoto(photo: Photo, size: number): Uint8Array {
  const { pixels } = resizePhoto(photo, size, size);
  const packed = new Uint8Array(size * size * 4);
  for (let i = 0; i < size * size; i++) packed.set(pixels.subarray(i * 3, i * 3 + 3), i * 4);
  return packed;
}

/**
 * Predicts photos, as many in a step as it takes, with the step's threshold, and writes masks (0 and 255) and overlays
 * below `output`.
 * @param onBad called with what is wrong with a file that cannot be decoded; throws to stop
 * @param onProgress called with the photos done
 */
export async function predictPhotos(
  step: EvaluationStep,
  size: number,
  photos: readonly PhotoFile[],
  output: string,
  onBad: (error: unknown) => void,
  onProgress: (done: number) => void = () => {},
): Promise<MaskSummary> {
  const summary: MaskSummary = { masks: 0, empty: 0, full: 0 };
  const { batch } = step;
  for (let first = 0; first < photos.length; first += batch) {
    onProgress(first);
    const decoded = photos.slice(first, first + batch).flatMap(({ file, name }) => {
      try {
        return [{ name, photo: decodePhoto(readFileSync(file), file) }];
      } catch (error) {
        onBad(error);
        return [];
      }
    });
    if (decoded.length === 0) continue;
    // Places that no photo takes hold zeros, and nobody looks at their masks.
    const pixels = new Uint8Array(batch * size * size * 4);
    decoded.forEach(({ photo }, i) => pixels.set(packPhoto(photo, size), i * size * size * 4));
    step.run(pixels, unaugmented(batch));
    const logits = await step.readLogits();
    decoded.forEach(({ name, photo }, i) => {
      const { height, width } = photo;
      const own = resizeLogits(logits.subarray(i * size * size, (i + 1) * size * size), size, size, height, width);
      const mask = Uint8Array.from(own, (logit) => (logit > step.threshold ? 1 : 0));
      writeFileAtomic(join(output, 'masks', `${name}.png`), encodeMaskPng(mask, height, width));
      writeFileAtomic(join(output, 'overlays', `${name}.png`), encodeRgbPng(drawOverlay(photo, mask)));
      summary.masks++;
      if (!mask.includes(1)) summary.empty++;
      if (!mask.includes(0)) summary.full++;
    });
  }
  return summary;
}

/** A line for the case that all masks say the same, which is rarely what anyone wants. */
export function describeUniform({ masks, empty, full }: MaskSummary): string | undefined {
  if (masks === 0 || (empty < masks && full < masks)) return undefined;
  const what = empty === masks ? 'empty' : 'full';
  const which = masks === 1 ? 'the mask is' : `all ${masks} masks are`;
  return `${which} ${what}; are these photos like those of the training, and was it long enough?`;
}
