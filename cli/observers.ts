/**
 * What a run tells those that watch it: curves, pictures, the report, event files. To add one, write a `RunObserver` and
 * name it in `observersOf`.
 */
import type { Cache } from '../data/cache.js';
import type { Environment } from './environment.js';
import type { Evaluation, Evaluator } from './evaluation.js';
import { jsonLines } from './jsonLines.js';
import type { OutputFlags, Progress } from './progress.js';
import { reportFiles } from './report/observer.js';
import type { EpochRecord, RunFolder } from './runFolder.js';
import type { RunSettings } from './settings.js';
import { tensorBoard } from './tensorboard/observer.js';

/** A run, from the first step to the last; `history` grows. */
export interface RunStart {
  folder: RunFolder;
  settings: RunSettings;
  environment: Environment;
  /** The photos of all splits: `cache.indices('valid')`, `cache.samples[index]` with name, breed and files. */
  cache: Cache;
  /**
   * Predicts with the present weights, or with their moving average where the run keeps one (`predict`); in `finished`
   * with the best ones.
   */
  evaluator: Evaluator;
  /** Of all finished epochs, those before a resumption included. */
  history: readonly EpochRecord[];
  batchesPerEpoch: number;
  progress: Progress;
}

/** A training step whose result is known. */
export interface StepEvent {
  /** The one under way, from 1 on. */
  epoch: number;
  /** Batches done of this epoch. */
  batch: number;
  /** Steps since the beginning of the run. */
  step: number;
  loss: number;
  /** Mean over the images of the batch, measured with augmentation and before the update. */
  dice: number;
  learningRate: number;
  /** Before clipping. */
  gradientNorm: number;
}

/** A finished epoch: its checkpoints and its line of the history are written. */
export interface EpochEvent {
  record: EpochRecord;
  isBest: boolean;
  /** Of the validation split; boundaries are not counted here. */
  validation: Evaluation;
}

/** A finished run, and the best weights' scores. */
export interface RunEnd {
  best: { epoch: number; dice: number };
  /** With boundaries, unless the border is ignored. */
  valid: Evaluation;
  /** Undefined where the data set has no test photos. */
  test?: Evaluation;
}

/**
 * Watches a run. Each method is called in turn and awaited; an error is told to the user, and neither ends the run nor
 * keeps the next calls away.
 */
export interface RunObserver {
  /** For messages, such as `curves`. */
  readonly name: string;
  /** Before the first step of this process. */
  started?(run: RunStart): void | Promise<void>;
  /** The device works on the next step meanwhile; whatever takes longer than that step slows the run down. */
  step?(run: RunStart, event: StepEvent): void;
  epoch?(run: RunStart, event: EpochEvent): void | Promise<void>;
  finished?(run: RunStart, end: RunEnd): void | Promise<void>;
  /** The run was stopped and may be resumed. */
  stopped?(run: RunStart): void | Promise<void>;
}

/**
 * Those that watch a run of these settings. Whoever reads the line that says an epoch is done finds its event files and
 * its report written.
 */
export const observersOf = (settings: RunSettings, { json }: OutputFlags): RunObserver[] => [
  ...(settings.tensorboard ? [tensorBoard()] : []),
  reportFiles(),
  ...(json ? [jsonLines()] : []),
];

/** Tells all observers, and the user what goes wrong with one. */
export class Observers {
  constructor(
    private readonly list: readonly RunObserver[],
    readonly run: RunStart,
  ) {}

  started(): Promise<void> {
    return this.tell((observer) => observer.started?.(this.run));
  }

  step(event: StepEvent): void {
    for (const observer of this.list) {
      try {
        observer.step?.(this.run, event);
      } catch (error) {
        this.report(observer, error);
      }
    }
  }

  epoch(event: EpochEvent): Promise<void> {
    return this.tell((observer) => observer.epoch?.(this.run, event));
  }

  /** @param evaluator with the best weights */
  finished(end: RunEnd, evaluator: Evaluator): Promise<void> {
    return this.tell((observer) => observer.finished?.({ ...this.run, evaluator }, end));
  }

  stopped(): Promise<void> {
    return this.tell((observer) => observer.stopped?.(this.run));
  }

  private async tell(what: (observer: RunObserver) => void | Promise<void>): Promise<void> {
    for (const observer of this.list) {
      try {
        await what(observer);
      } catch (error) {
        this.report(observer, error);
      }
    }
  }

  private report({ name }: RunObserver, error: unknown): void {
    this.run.progress.warning(`${name}: ${error instanceof Error ? error.message : error}; the run goes on`);
  }
}
