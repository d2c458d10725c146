/** Opens the photos of a run for a command, and tells the user what was found. */
import { createHash } from 'node:crypto';
import { type Cache, openCache } from '../data/cache.js';
import { type Dataset, openDataset } from '../data/dataset.js';
import { plural } from '../data/errors.js';
import { drawSample } from '../data/sample.js';
import { applySplit } from '../data/split.js';
import { borderRules } from './border.js';
import type { Progress } from './progress.js';
import type { RunSettings } from './settings.js';

export type DataSettings = Pick<RunSettings, 'dataPath' | 'sample' | 'onBadFile' | 'size' | 'seed'> &
  Partial<Pick<RunSettings, 'border' | 'split'>>;

/** Draws the sample if it is one, reads the folder, and brings its cache up to date. */
export async function loadData(settings: DataSettings, progress: Progress): Promise<Cache> {
  const { dataPath, sample, size, border = 'pet' } = settings;
  if (sample) {
    const drew = await drawSample(dataPath, sample, (done, total) => progress.update('drawing', done, total));
    if (drew) progress.line(`drew ${plural(sample.count, 'photo')} of animals with their masks into ${dataPath}`);
  }
  progress.line(`data: ${dataPath}`);
  const dataset = openPhotos(settings);
  for (const note of dataset.notes) progress.line(`data: ${note}`);
  if (dataset.maskRule === 'trimap') progress.line(`data: trimaps: ${borderRules[border]}`);
  const start = performance.now();
  let decoded = 0;
  const cache = await openCache(dataset, {
    height: size,
    width: size,
    onProgress(done, total) {
      decoded = done;
      const rate = () => [`${((done / (performance.now() - start)) * 1000).toFixed(0)} photos/s`];
      progress.update('reading photos', done, total, rate);
    },
  });
  for (const note of cache.notes) progress.line(`data: ${note}`);
  if (decoded > 0) {
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    progress.line(
      `data: ${plural(decoded, 'photo')} decoded and kept at ${size}x${size} in ${seconds} s; the next start finds them`,
    );
  }
  return cache;
}

/** The data set, with the split that the settings give it. */
export function openPhotos({ dataPath, seed, onBadFile, split = null }: DataSettings): Dataset {
  const dataset = openDataset(dataPath, { seed, onBadFile });
  return split === null ? dataset : applySplit(dataset, split);
}

/** A digest of the names of the photos that are learnt from. */
export function trainingPhotos(cache: Cache): string {
  const names = cache.indices('train').map((index) => cache.samples[index].name);
  return createHash('sha256').update(names.join('\n')).digest('hex').slice(0, 16);
}
