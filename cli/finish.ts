/** The end of a run: the best weights' scores on validation and test photos, and of each photo. */
import type { Cache } from '../data/cache.js';
import type { SplitName } from '../data/dataset.js';
import type { Device } from '../engine/device.js';
import type { Variables } from '../engine/variables.js';
import { loadWeights, readCheckpoint, requireInfo } from './checkpoint.js';
import { type Evaluation, Evaluator, type PhotoScores, type Scores, scoreRows } from './evaluation.js';
import type { Observers } from './observers.js';
import { describeUniform } from './prediction.js';
import { type Progress, table } from './progress.js';
import type { RunFolder } from './runFolder.js';
import { type Border, modelSettings, type RunSettings } from './settings.js';

/** What `valid.json` and `test.json` say. */
export interface SplitResult {
  split: SplitName;
  /** File in the run's folder, and the epoch it is of. */
  weights: string;
  epoch: number;
  /** Probability above which a pixel is foreground. */
  threshold: number;
  border: Border;
  /** Height and width at which masks are compared. */
  size: number;
  batchSize: number;
  scores: Scores;
  photos: PhotoScores[];
}

interface End {
  device: Device;
  variables: Variables;
  folder: RunFolder;
  cache: Cache;
  settings: RunSettings;
  progress: Progress;
  observers: Observers;
  /** Throws where the run is to stop. */
  check(): void;
}

export async function finish(end: End): Promise<void> {
  const { device, variables, folder, cache, settings, progress, observers, check } = end;
  const best = readCheckpoint(folder.file('best'));
  // They become the present ones, averages or not: nothing is trained any more.
  loadWeights(variables, best, settings);
  const { state } = requireInfo(best);
  const { border, size, batchSize } = settings;
  const evaluator = new Evaluator(device, variables, { ...modelSettings(settings), boundary: border !== 'ignore' });
  try {
    const measured: Partial<Record<SplitName, Evaluation>> = {};
    for (const split of ['valid', 'test'] as const) {
      const indices = cache.indices(split);
      if (indices.length === 0) continue;
      const evaluation = await evaluator.evaluate(cache, indices, batchSize, (done) => {
        check();
        progress.update(split === 'valid' ? 'validation' : 'test', done, indices.length);
      });
      measured[split] = evaluation;
      const where = { split, weights: 'best.safetensors', epoch: state.epoch, threshold: 0.5, border, size, batchSize };
      const { scores, photos } = evaluation;
      folder.writeJson(split, { ...where, scores, photos } satisfies SplitResult);
    }
    progress.result(
      `\nbest weights, of epoch ${state.epoch} (Dice and IoU: means over photos, 1 where truth and prediction are empty)`,
    );
    const rows = Object.entries(measured).map(([split, { scores }]) => [split, scores] as const);
    progress.result(`${table(scoreRows(Object.fromEntries(rows)))}\n`);
    const { valid, test } = measured as { valid: Evaluation; test?: Evaluation };
    const warning = describeUniform((test ?? valid).masks);
    if (warning) progress.warning(warning);
    check();
    await observers.finished({ best: state.best!, valid, test }, evaluator);
    progress.result(`weights: ${folder.file('best')}`);
    progress.result(`history: ${folder.file('history')}`);
    progress.result(`scores:  ${folder.file(test ? 'test' : 'valid')}`);
  } finally {
    evaluator.destroy();
  }
}
