/** `--json`: what happens in a run as JSON lines on stdout, for a program that watches it. */
import type { RunObserver, RunStart } from './observers.js';

/** So often a step is told at most, milliseconds: a program follows a run by it, and every epoch is told anyway. */
const STEP_MS = 1000;

export function jsonLines(): RunObserver {
  let toldAt = -Infinity;
  const tell = ({ progress }: RunStart, event: string, values: object) => progress.json({ event, ...values });
  return {
    name: 'json',
    started(run) {
      const count = (split: 'train' | 'valid' | 'test') => run.cache.indices(split).length;
      tell(run, 'started', {
        run: run.folder.path,
        adapter: run.environment.adapter,
        photos: { train: count('train'), valid: count('valid'), test: count('test') },
        epochs: run.settings.epochs,
        batches_per_epoch: run.batchesPerEpoch,
        finished_epochs: run.history.length,
      });
    },
    step(run, { epoch, batch, step, loss, dice, learningRate, gradientNorm }) {
      const now = performance.now();
      if (now - toldAt < STEP_MS) return;
      toldAt = now;
      tell(run, 'step', { epoch, batch, step, loss, dice, learning_rate: learningRate, gradient_norm: gradientNorm });
    },
    epoch(run, { record, isBest }) {
      tell(run, 'epoch', { ...record, best: isBest });
    },
    finished(run, { best, valid, test }) {
      tell(run, 'finished', {
        run: run.folder.path,
        weights: run.folder.file('best'),
        report: run.folder.file('report'),
        best,
        valid: valid.scores,
        test: test?.scores ?? null,
      });
    },
    stopped(run) {
      tell(run, 'stopped', { run: run.folder.path });
    },
  };
}
