/** A run's folder without a run, for the tests of what reads one. */
import { join } from 'node:path';
import type { Cache } from '../../data/cache.js';
import type { Evaluator, PhotoScores, Prediction, Scores } from '../../cli/evaluation.js';
import type { SplitResult } from '../../cli/finish.js';
import { type PictureSource, writeCases, writeEpochPictures } from '../../cli/report/pictures.js';
import { type EpochRecord, RunFolder } from '../../cli/runFolder.js';
import { resolveSettings } from '../../cli/trainFlags.js';

/** Epochs whose validation Dice is best in the middle, and whose validation loss rises after it. */
export function someHistory(epochs: number): EpochRecord[] {
  return Array.from({ length: epochs }, (_, i) => {
    const far = Math.abs(i - Math.floor(epochs / 2)) / epochs;
    return {
      epoch: i + 1,
      train_loss_augmented: 1 / (i + 1),
      train_dice_augmented: 1 - 0.5 / (i + 1),
      valid_loss: 0.3 + far,
      valid_dice: 0.9 - 0.3 * far,
      valid_iou: 0.8 - 0.3 * far,
      learning_rate: 0.001 * 0.5 ** i,
      gradient_norm: 2,
      images_per_second: 12.5,
      waiting: 0.25,
      peak_bytes: 2 ** 20,
      seconds: 30,
    };
  });
}

/** Photos of two breeds; Dice rises with the number, precision falls. */
export function somePhotos(count: number): PhotoScores[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `${i % 2 === 0 ? 'Cat' : 'dog'}_${i}`,
    breed: i % 2 === 0 ? 'Cat' : 'dog',
    dice: 0.5 + (0.5 * i) / count,
    iou: 0.4 + (0.5 * i) / count,
    precision: 1 - (0.5 * i) / count,
    recall: 0.6,
    boundary_f: i === 3 ? null : 0.1 + ((i * 7) % count) / (2 * count),
  }));
}

function someScores(images: number): Scores {
  const all = { dice: 0.75, iou: 0.6, precision: 0.8, recall: 0.6, pixelAccuracy: 0.9 };
  const pooled = { dataSetDice: 0.76, dataSetIou: 0.61, dataSetPrecision: 0.8, dataSetRecall: 0.6 };
  const emptyTruth = { images: 0, predictedEmpty: 0, diceElsewhere: null };
  return { images, loss: 0.4, ...all, ...pooled, dataSetPixelAccuracy: 0.9, boundaryF: 0.5, emptyTruth } as Scores;
}

const SIZE = 16;

/** Records whose left half is the object and whose predictions are its upper half and the row below the middle. */
export function pictureSource(folder: RunFolder, names: readonly string[], split: 'valid' | 'test'): PictureSource {
  const cache = {
    height: SIZE,
    width: SIZE,
    recordBytes: SIZE * SIZE * 4,
    samples: names.map((name) => ({ name, split })),
    indices: (of: string) => (of === split ? names.map((_, i) => i) : []),
  } as unknown as Cache;
  const evaluator = {
    async *predict(_: Cache, indices: readonly number[], batchSize: number): AsyncGenerator<Prediction> {
      if (indices.length % batchSize !== 0) throw new Error(`${indices.length} samples are no whole batches`);
      for (const index of indices) {
        const record = new Uint8Array(SIZE * SIZE * 4);
        const logits = new Float32Array(SIZE * SIZE);
        for (let i = 0; i < SIZE * SIZE; i++) {
          record.set([index * 9, 120, (i * 5) % 256, i % SIZE < SIZE / 2 ? 1 : 0], i * 4);
          logits[i] = i < SIZE * (SIZE / 2) ? 1 : -1;
        }
        yield { index, record, logits };
      }
    },
  } as unknown as Evaluator;
  return { folder, cache, evaluator, settings: { batchSize: 4, border: 'pet' } };
}

/** A finished run of `epochs` epochs with 40 test photos and all its pictures. */
export async function someRun(directory: string, epochs: number): Promise<RunFolder> {
  const folder = RunFolder.create({ path: join(directory, 'a<b>-run'), name: '' });
  folder.writeJson('settings', { ...resolveSettings({ dataPath: directory, size: 64 }), epochs });
  const session = { started: '2026-01-02T03:04:05.678Z', adapter: 'an adapter', driver: '1', processor: '2 x P' };
  const machine = { memory: 2 ** 33, versions: { node: '20' }, gitCommit: null, command: ['train', '-e', '3'] };
  folder.writeJson('environment', { ...session, ...machine, ended: '2026-01-02T04:04:05.678Z', resumed: [] });
  folder.writeHistory(someHistory(epochs));
  const photos = somePhotos(40);
  for (const split of ['valid', 'test'] as const) {
    const where = {
      split,
      weights: 'best.safetensors',
      epoch: 2,
      threshold: 0.5,
      border: 'pet',
      size: 64,
      batchSize: 4,
    };
    folder.writeJson(split, { ...where, scores: someScores(40), photos } as SplitResult);
  }
  const names = photos.map(({ name }) => name);
  for (let epoch = 1; epoch <= epochs; epoch++) {
    await writeEpochPictures(pictureSource(folder, names.slice(0, 9), 'valid'), epoch);
  }
  await writeCases(pictureSource(folder, names, 'test'), 'test', photos);
  return folder;
}
