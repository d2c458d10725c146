/** `trimap stats`: what a recipe's normalisation needs to know of the training photos. */
import { openDataset } from '../data/dataset.js';
import { plural, type BadFilePolicy } from '../data/errors.js';
import { measureTraining, type DatasetStats } from '../data/stats.js';
import { UsageError } from './errors.js';
import { type OutputFlags, Progress, table } from './progress.js';

export interface StatsFlags extends OutputFlags {
  dataPath?: string;
  seed?: number;
  onBadFile?: BadFilePolicy;
}

export async function stats({ dataPath, seed = 42, onBadFile = 'stop', json, quiet }: StatsFlags): Promise<number> {
  if (dataPath === undefined) throw new UsageError('give the data set to measure: --data-path DIR');
  const progress = Progress.of({ json, quiet });
  progress.line(`measuring the training photos of ${dataPath}`);
  const dataset = openDataset(dataPath, { seed, onBadFile });
  for (const note of dataset.notes) progress.line(`data: ${note}`);
  try {
    const { notes, ...found } = await measureTraining(dataset, {
      onProgress: (done, total) => progress.update('measuring', done, total),
    });
    for (const note of notes) progress.line(`data: ${note}`);
    progress.clear();
    if (json) console.log(JSON.stringify({ path: dataset.root, split: 'train', ...found }));
    else progress.result(describe(found));
    return 0;
  } finally {
    progress.clear();
  }
}

function describe({ photos, pixels, mean, std, maskShares, height, width }: Omit<DatasetStats, 'notes'>): string {
  const channels = (values: readonly number[]) => values.map((value) => value.toFixed(4));
  const shares = Object.entries(maskShares).map(([name, share]) => `${name} ${(share * 100).toFixed(2)} %`);
  const lengths = ({ min, median, max }: typeof height) => [min, median, max].map(String);
  return [
    `${plural(photos, 'training photo')}, ${(pixels / 1e6).toFixed(1)} megapixels at their own sizes`,
    '',
    table([
      ['over all pixels, 0..1', 'red', 'green', 'blue'],
      ['mean', ...channels(mean)],
      ['standard deviation', ...channels(std)],
    ]),
    '',
    `masks: ${shares.join(', ')}`,
    '',
    table([
      ['pixels', 'min', 'median', 'max'],
      ['height', ...lengths(height)],
      ['width', ...lengths(width)],
    ]),
  ].join('\n');
}
