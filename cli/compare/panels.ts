/** Photos in which runs differ, with what each of them makes of it: report 3's figure. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCache } from '../../data/cache.js';
import { type Dataset, openDataset, type SplitName } from '../../data/dataset.js';
import { DataError } from '../../data/errors.js';
import { encodeJpeg } from '../../data/jpeg.js';
import { resizePhoto } from '../../data/resize.js';
import type { Device } from '../../engine/device.js';
import { Variables } from '../../engine/variables.js';
import { loadWeights, readCheckpoint } from '../checkpoint.js';
import { Evaluator, type Prediction } from '../evaluation.js';
import type { Progress } from '../progress.js';
import { type ComparedMask, compareMasks } from '../report/masks.js';
import { modelSettings } from '../settings.js';
import { asTrained } from '../tuning.js';
import type { ComparedRun } from './comparison.js';

export interface DifferentCase {
  name: string;
  /** JPEG, square, as the first run's net sees it. */
  photo: Buffer;
  /** Of each run. */
  masks: ComparedMask[];
  dice: number[];
}

/** Pixels of a side; a page is to be sent around. */
const LARGEST = 256;
const JPEG_QUALITY = 80;

/**
 * Predicts the photos with the best weights of each run.
 * @param chosen into the runs' `photos`
 * @throws DataError when the photos or the weights are not where they were
 */
export async function predictCases(
  device: Device,
  runs: readonly ComparedRun[],
  split: SplitName,
  chosen: readonly number[],
  progress: Progress,
): Promise<DifferentCase[]> {
  const names = chosen.map((i) => runs[0].photos[i].name);
  const predictions: Prediction[][] = [];
  for (const [i, run] of runs.entries()) {
    progress.update('predicting', i, runs.length, () => [run.name]);
    const own = asTrained(device, run.settings, run.folder.file('best'), progress);
    predictions.push(await predictNamed(own, run, split, names));
  }
  return names.map((name, i) => ({
    name,
    photo: photoOf(predictions[0][i], runs[0].settings.size),
    masks: runs.map(({ settings, result }, r) => {
      const { record, logits } = predictions[r][i];
      return compareMasks(record, logits, [settings.size, settings.size], result.border);
    }),
    dice: runs.map(({ photos }) => photos[chosen[i]].dice),
  }));
}

async function predictNamed(
  device: Device,
  { folder, settings }: ComparedRun,
  split: SplitName,
  names: readonly string[],
): Promise<Prediction[]> {
  const { dataPath, size, seed } = settings;
  const dataset = openDataset(dataPath, { seed, onBadFile: 'stop' });
  const byName = new Map(dataset.samples.filter((one) => one.split === split).map((one) => [one.name, one]));
  const samples = names.map((name) => {
    const sample = byName.get(name);
    if (!sample) throw new DataError(`${dataPath} has no ${split} photo ${name} any more`);
    return sample;
  });
  const directory = mkdtempSync(join(tmpdir(), 'trimap-compare-'));
  const few: Dataset = { ...dataset, samples, missing: [] };
  const variables = new Variables(device);
  const evaluator = new Evaluator(device, variables, modelSettings(settings));
  try {
    const cache = await openCache(few, { height: size, width: size, directory });
    try {
      const batch = Math.min(settings.batchSize, names.length);
      await evaluator.step(batch);
      loadWeights(variables, readCheckpoint(folder.file('best')), settings);
      const indexOf = new Map(cache.samples.map(({ name }, index) => [name, index]));
      const predictions: Prediction[] = [];
      const indices = names.map((name) => indexOf.get(name)!);
      for await (const prediction of evaluator.predict(cache, indices, batch)) predictions.push(prediction);
      return predictions;
    } finally {
      await cache.close();
    }
  } finally {
    evaluator.destroy();
    variables.destroy();
    rmSync(directory, { recursive: true });
  }
}

function photoOf({ record }: Prediction, size: number): Buffer {
  const pixels = Uint8Array.from({ length: size * size * 3 }, (_, i) => record[Math.floor(i / 3) * 4 + (i % 3)]);
  const photo = { height: size, width: size, pixels };
  return encodeJpeg(size <= LARGEST ? photo : resizePhoto(photo, LARGEST, LARGEST), JPEG_QUALITY);
}
