/** `trimap predict`: masks and overlays of any photos. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { type BadFilePolicy, DataError, plural } from '../data/errors.js';
import { isHidden } from '../data/files.js';
import type { Dtype } from '../engine/layout.js';
import { Variables } from '../engine/variables.js';
import { EvaluationStep } from '../nets/evaluationStep.js';
import { loadWeights, readCheckpoint, requireInfo } from './checkpoint.js';
import { UsageError } from './errors.js';
import { logitOf } from './evaluation.js';
import { describeUniform, type PhotoFile, predictionBatch, predictPhotos } from './prediction.js';
import { Progress } from './progress.js';
import { modelSettings } from './settings.js';
import { asTrained } from './tuning.js';

export interface PredictFlags {
  photos: string[];
  model?: string;
  output?: string;
  /** Probability above which a pixel is foreground. */
  threshold?: number;
  /** Default that of the training. */
  precision?: Dtype;
  onBadFile?: BadFilePolicy;
  adapter?: string;
  quiet?: boolean;
}

// Kinds that cannot be decoded are found, too, so that they are reported instead of passed over.
const ENDINGS = new Set(['.jpg', '.jpeg', '.png', '.gif', '.bmp', '.tif', '.tiff', '.webp']);

export async function predict(flags: PredictFlags): Promise<number> {
  const { model, output = 'predictions', threshold = 0.5, onBadFile = 'stop' } = flags;
  if (model === undefined) throw new UsageError('give the weights to predict with: --model runs/unet/best.safetensors');
  const progress = Progress.of(flags);
  const photos = findPhotos(flags.photos);
  progress.line(`predicting ${plural(photos.length, 'photo')} with ${model}`);
  const checkpoint = readCheckpoint(model);
  const { settings } = requireInfo(checkpoint);
  const { precision = settings.precision } = flags;

  const { openDevice } = await import('../engine/dawn.js');
  const device = await openDevice({ adapter: flags.adapter, precision });
  try {
    progress.line(`adapter: ${device.description}`);
    const variables = new Variables(device);
    const step = await EvaluationStep.compile(asTrained(device, settings, model, progress), variables, {
      ...modelSettings(settings),
      precision,
      threshold: logitOf(threshold),
      batch: predictionBatch(photos.length),
    });
    loadWeights(variables, checkpoint, settings);
    const skipped: string[] = [];
    const onBad = (error: unknown) => {
      if (!(error instanceof Error)) throw error;
      if (onBadFile === 'stop') throw new DataError(`${error.message}; --on-bad-file skip leaves such files out`);
      skipped.push(error.message);
    };
    const summary = await predictPhotos(step, settings.size, photos, output, onBad, (done) =>
      progress.update('predicting', done, photos.length),
    );
    for (const message of skipped) progress.warning(`left out: ${message}`);
    if (summary.masks === 0) throw new DataError('none of the photos could be read');
    const warning = describeUniform(summary);
    if (warning) progress.warning(warning);
    progress.result(
      `wrote ${plural(summary.masks, 'mask')} into ${join(output, 'masks')} ` +
        `and as many overlays into ${join(output, 'overlays')}`,
    );
    step.destroy();
    variables.destroy();
    return 0;
  } finally {
    progress.clear();
    device.close();
  }
}

/**
 * Photos given as files or as folders, which are searched. A photo's name is its path below the folder, so that a folder's
 * masks lie as its photos do.
 * @throws DataError when one is not there, a folder holds none, or two would write the same mask
 */
export function findPhotos(paths: readonly string[]): PhotoFile[] {
  const photos = paths.flatMap((path) => {
    if (!existsSync(path)) throw new DataError(`${path} does not exist`);
    if (!statSync(path).isDirectory()) return [{ file: path, name: stem(basename(path)) }];
    const found = readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => ENDINGS.has(extname(name).toLowerCase()) && !name.split(/[\\/]/).some(isHidden))
      .sort();
    if (found.length === 0) throw new DataError(`${path} holds no photos (${[...ENDINGS].join(', ')})`);
    return found.map((name) => ({ file: join(path, name), name: stem(name) }));
  });
  const files = new Map<string, string>();
  for (const { file, name } of photos) {
    const other = files.get(name);
    if (other === file) throw new DataError(`${file} is given twice`);
    if (other)
      throw new DataError(
        `${other} and ${file} would both write ${name}.png; predict them apart, each with its own --output`,
      );
    files.set(name, file);
  }
  return photos;
}

const stem = (name: string): string => name.slice(0, name.length - extname(name).length);
