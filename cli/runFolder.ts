/** The folder of a run. Every file in it but the log is written whole or not at all; the log grows line by line. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../data/errors.js';
import { writeFileAtomic } from '../data/files.js';
import type { Environment } from './environment.js';
import { UsageError } from './errors.js';

/** A line of `history.jsonl` and a row of `history.csv`. */
export interface EpochRecord {
  epoch: number;
  /** Mean over the epoch's batches; of augmented photos, by weights that change meanwhile. */
  train_loss_augmented: number;
  /** Mean over the epoch's images, measured like the loss. */
  train_dice_augmented: number;
  valid_loss: number;
  /** Means over the validation photos. */
  valid_dice: number;
  valid_iou: number;
  /** Of the epoch's last step. */
  learning_rate: number;
  /** Mean global norm before clipping. */
  gradient_norm: number;
  /** After the epoch's last step, and the steps of the epoch that it let change no weight; of training with f16. */
  loss_scale?: number;
  skipped_steps?: number;
  /** Of training alone. */
  images_per_second: number;
  /** Share of the training time in which the next batch was not ready. */
  waiting: number;
  /** Device memory of weights, training and validation, bytes. */
  peak_bytes: number;
  /** Of training and validation, without times in which the run stood still. */
  seconds: number;
}

/** What is where in a run's folder. */
export const FILES = {
  settings: 'settings.json',
  environment: 'environment.json',
  split: 'split.json',
  /** Forms of the kernels, of a tuned run. */
  kernels: 'kernels.json',
  history: 'history.jsonl',
  historyCsv: 'history.csv',
  log: 'log.txt',
  /** The weights with the highest validation Dice. */
  best: 'best.safetensors',
  /** Everything that is needed to go on. */
  last: 'last.safetensors',
  valid: 'valid.json',
  test: 'test.json',
  pictures: 'pictures',
  curvesSvg: 'curves.svg',
  curvesPng: 'curves.png',
  report: 'report.html',
} as const;

export class RunFolder {
  private constructor(readonly path: string) {}

  /** The folder of a run that may or may not be there. */
  static at(path: string): RunFolder {
    return new RunFolder(path);
  }

  /**
   * Makes the folder: `path`, or `runs/NAME` with a number behind it when that is taken.
   * @throws UsageError when `path` exists and holds anything
   */
  static create({ path, name }: { path?: string; name: string }): RunFolder {
    if (path === undefined) return new RunFolder(nextFree('runs', name));
    RunFolder.checkFree(path);
    mkdirSync(path, { recursive: true });
    return new RunFolder(path);
  }

  /** @throws UsageError when the folder exists and holds anything */
  static checkFree(path: string): void {
    if (!existsSync(path) || readdirSync(path).length === 0) return;
    throw new UsageError(
      `--run ${path} is not empty; go on with it by trimap resume ${path}, or choose another folder`,
    );
  }

  /** @throws DataError when there is no run to go on with */
  static open(path: string): RunFolder {
    const folder = new RunFolder(path);
    if (!existsSync(folder.file('last'))) {
      const what = existsSync(path) ? `${path} holds no ${FILES.last}` : `${path} does not exist`;
      const inRuns = join('runs', path);
      if (existsSync(inRuns)) throw new DataError(`nothing to resume: ${what}; did you mean ${inRuns}?`);
      throw new DataError(`nothing to resume: ${what}; give the folder of a run, such as runs/unet`);
    }
    return folder;
  }

  /** Whether its last epoch is over and its best weights are measured. */
  get isFinished(): boolean {
    return typeof this.readJson<Pick<Environment, 'ended'>>('environment')?.ended === 'string';
  }

  /** Path of one of the files. */
  file(name: keyof typeof FILES): string {
    return join(this.path, FILES[name]);
  }

  /** The parsed file; undefined where it is not there. @throws DataError when it is damaged */
  readJson<T>(name: keyof typeof FILES): T | undefined {
    const path = this.file(name);
    if (!existsSync(path)) return undefined;
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as T;
    } catch (error) {
      throw new DataError(`${path} is not JSON (${(error as Error).message})`);
    }
  }

  /** @throws DataError when the file is damaged or not there */
  requireJson<T>(name: keyof typeof FILES): T {
    const value = this.readJson<T>(name);
    if (value === undefined) {
      throw new DataError(`${this.path} is no folder of a run: it has no ${FILES[name]}; give one such as runs/unet`);
    }
    return value;
  }

  writeJson(name: keyof typeof FILES, value: object): void {
    writeFileAtomic(this.file(name), `${JSON.stringify(value, null, 2)}\n`);
  }

  writeHistory(records: readonly EpochRecord[]): void {
    writeFileAtomic(this.file('history'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    const columns = Object.keys(records[0] ?? {}) as (keyof EpochRecord)[];
    const rows = records.map((record) => columns.map((column) => record[column]));
    writeFileAtomic(this.file('historyCsv'), [columns, ...rows].map((row) => `${row.join()}\n`).join(''));
  }

  /**
   * The history, of the first `epochs` epochs where that is given: what a resumed run has not finished yet is made again.
   * @throws DataError when a line is damaged
   */
  readHistory(epochs = Infinity): EpochRecord[] {
    const path = this.file('history');
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, 'utf8').split('\n');
    const records = lines.flatMap((line, i) => {
      if (line.trim() === '') return [];
      try {
        return [JSON.parse(line) as EpochRecord];
      } catch {
        throw new DataError(`${path}: line ${i + 1} is not JSON; mend or remove the line`);
      }
    });
    return records.filter(({ epoch }) => epoch <= epochs);
  }
}

/** Making the folder claims its name, so that two runs that start at once get two. */
function nextFree(parent: string, name: string): string {
  mkdirSync(parent, { recursive: true });
  for (let i = 1; ; i++) {
    const path = join(parent, i === 1 ? name : `${name}-${i}`);
    try {
      mkdirSync(path);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
