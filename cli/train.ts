/** `trimap train` and `trimap resume`: settings, device, data; `run.ts` does the rest. */
import { resolve } from 'node:path';
import { DataError } from '../data/errors.js';
import type { Cache } from '../data/cache.js';
import type { Device } from '../engine/device.js';
import { readCheckpoint, requireState } from './checkpoint.js';
import { Claim } from './claim.js';
import { loadData, trainingPhotos } from './dataLoading.js';
import { explainError } from './errors.js';
import { StopRequest } from './interrupt.js';
import { type OutputFlags, Progress } from './progress.js';
import { type Resumed, run } from './run.js';
import { RunFolder } from './runFolder.js';
import { RunLog } from './runLog.js';
import type { RunSettings } from './settings.js';
import { type ResumeFlags, resolveSettings, resumeSettings, type TrainFlags } from './trainFlags.js';

export async function train(flags: TrainFlags): Promise<number> {
  if (flags.run !== undefined) RunFolder.checkFree(flags.run);
  const settings = resolveSettings(flags);
  if (flags.printConfig) {
    console.log(JSON.stringify(settings, null, 2));
    return 0;
  }
  if (flags.dryRun) return (await import('./dryRun.js')).dryRun(settings, flags);
  const { net, baseWidth, size, batchSize, epochs, learningRate, loss, optimizer } = settings;
  return prepare(
    {
      settings,
      place: { path: flags.run, name: flags.name ?? net },
      adapter: flags.adapter,
      output: flags,
    },
    `training: ${net} with base width ${baseWidth}, ${size}x${size} pixels, ${epochs} epochs of batches of ${batchSize}, ` +
      `loss ${loss.name}, ${optimizer.kind} at ${learningRate}, seed ${settings.seed}`,
  );
}

export async function resume({ run: path, ...flags }: ResumeFlags): Promise<number> {
  const folder = RunFolder.open(path);
  const checkpoint = readCheckpoint(folder.file('last'));
  const info = requireState(checkpoint);
  const settings = resumeSettings(path, info, folder.isFinished, flags);
  // The file that it was read from may have changed.
  if (settings.split !== null) settings.split = resolve(folder.file('split'));
  if (typeof settings.tune === 'string') settings.tune = resolve(folder.file('kernels'));
  const { epoch, batch } = info.state;
  return prepare(
    {
      settings,
      resumed: { folder, checkpoint, info },
      place: { path, name: '' },
      adapter: flags.adapter,
      output: flags,
    },
    `going on with ${path}: ${settings.net}, after epoch ${epoch} of ${settings.epochs}` +
      `${batch > 0 ? ` and ${batch} batches of the next` : ''}`,
  );
}

interface Preparation {
  settings: RunSettings;
  resumed?: Resumed;
  place: { path?: string; name: string };
  adapter?: string;
  output: OutputFlags;
}

async function prepare({ settings, resumed, place, adapter, output }: Preparation, title: string): Promise<number> {
  const progress = Progress.of(output);
  const log = new RunLog();
  progress.onLine = (line) => log.add(line);
  progress.line(title);
  // A file that does not fit should be known before anything takes time.
  const initial = settings.initialWeights && !resumed ? readCheckpoint(settings.initialWeights) : undefined;
  const claim = resumed && Claim.take(resumed.folder.path);
  // Until the run has begun there is nothing to finish.
  const early = new StopRequest(() => {
    progress.clear();
    claim?.release();
    const what = resumed ? `go on with: trimap resume ${resumed.folder.path}` : 'nothing was begun';
    console.error(`stopped before the first step; ${what}`);
    process.exit(130);
  });

  let device: Device | undefined;
  let cache: Cache | undefined;
  try {
    const { openDevice } = await import('../engine/dawn.js');
    const { precision, tune } = settings;
    device = await openDevice({ adapter, precision, exactTimestamps: tune === true });
    progress.line(`adapter: ${device.description}`);
    cache = await loadData(settings, progress);
    checkSplits(cache, settings, resumed, progress);
    await run({ device, cache, settings, progress, log, output, place, initial, resumed, claim, early });
    return 0;
  } catch (error) {
    log.add(explainError(error).text);
    throw error;
  } finally {
    progress.clear();
    early.dispose();
    claim?.release();
    await cache?.close();
    device?.close();
  }
}

/** Makes the batch no larger than the training split. Throws DataError when a split that training needs is empty. */
function checkSplits(cache: Cache, settings: RunSettings, resumed: Resumed | undefined, progress: Progress): void {
  const count = cache.indices('train').length;
  for (const [split, name] of [
    ['train', 'training'],
    ['valid', 'validation'],
  ] as const) {
    if (cache.indices(split).length > 0) continue;
    throw new DataError(
      `${settings.dataPath} has no ${name} photos; put pairs into ${split}/images and ${split}/masks, or add photos`,
    );
  }
  if (settings.batchSize > count) {
    progress.line(`data: batches of ${count} instead of ${settings.batchSize}: there are no more training photos`);
    settings.batchSize = count;
  }
  if (resumed && resumed.info.trainingPhotos !== trainingPhotos(cache)) {
    throw new DataError(
      `the training photos in ${settings.dataPath} are not those that ${resumed.folder.path} began with; ` +
        'bring them back, or start a new run with --model',
    );
  }
}
