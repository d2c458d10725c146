/** `trimap evaluate`: the scores of saved weights on one split. */
import { resolve } from 'node:path';
import type { Cache } from '../data/cache.js';
import type { SplitName } from '../data/dataset.js';
import { type BadFilePolicy, DataError } from '../data/errors.js';
import { Variables } from '../engine/variables.js';
import { loadWeights, readCheckpoint, requireInfo } from './checkpoint.js';
import { loadData } from './dataLoading.js';
import { UsageError } from './errors.js';
import { Evaluator, scoreRows } from './evaluation.js';
import { Progress, table } from './progress.js';

export interface EvaluateFlags {
  model?: string;
  split?: SplitName;
  dataPath?: string;
  batchSize?: number;
  onBadFile?: BadFilePolicy;
  adapter?: string;
  json: boolean;
}

export async function evaluate(flags: EvaluateFlags): Promise<number> {
  const { model, split = 'valid', json } = flags;
  if (model === undefined) throw new UsageError('give the weights to evaluate: --model runs/1/best.safetensors');
  // The result alone goes to stdout where a program reads it.
  const progress = new Progress(json ? process.stderr : process.stdout);
  progress.line(`evaluating ${model} on the ${split} photos`);
  const checkpoint = readCheckpoint(model);
  const { settings: trained } = requireInfo(checkpoint);
  const own = flags.dataPath === undefined ? {} : { dataPath: resolve(flags.dataPath), sample: null };
  const settings = { ...trained, ...own, onBadFile: flags.onBadFile ?? trained.onBadFile };

  const { openDevice } = await import('../engine/dawn.js');
  const device = await openDevice({ adapter: flags.adapter });
  let cache: Cache | undefined;
  try {
    progress.line(`adapter: ${device.description}`);
    cache = await loadData(settings, progress);
    const indices = cache.indices(split);
    if (indices.length === 0)
      throw new DataError(`${settings.dataPath} has no ${split} photos; choose another --split`);
    const batchSize = Math.min(flags.batchSize ?? settings.batchSize, indices.length);
    const variables = new Variables(device);
    const evaluator = new Evaluator(device, variables, settings);
    await evaluator.step(batchSize);
    loadWeights(variables, checkpoint, settings);
    const scores = await evaluator.evaluate(cache, indices, batchSize, (done) =>
      progress.update(split, done, indices.length),
    );
    progress.clear();
    if (json) console.log(JSON.stringify({ model, split, ...scores }));
    else
      progress.line(
        `${table(scoreRows({ [split]: scores }))}\n` +
          'Dice and IoU are means over photos, 1 where truth and prediction are empty.',
      );
    evaluator.destroy();
    variables.destroy();
    return 0;
  } finally {
    progress.clear();
    await cache?.close();
    device.close();
  }
}
