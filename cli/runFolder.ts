/** The folder of a run: settings, history, checkpoints, predictions. Every file in it is written atomically. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../data/errors.js';
import { writeFileAtomic } from '../data/files.js';
import { UsageError } from './errors.js';

/** A line of `history.jsonl`. */
export interface EpochRecord {
  epoch: number;
  train_loss: number;
  valid_loss: number;
  /** Mean over the validation photos. */
  valid_dice: number;
  valid_iou: number;
  learning_rate: number;
  /** Of training alone. */
  images_per_second: number;
  /** Mean global norm before clipping. */
  gradient_norm: number;
  /** Share of the training time in which the next batch was not ready. */
  waiting: number;
  /** After the epoch's last step, and the steps of the epoch that it let change no weight; of training with f16. */
  loss_scale?: number;
  skipped_steps?: number;
}

export class RunFolder {
  private constructor(readonly path: string) {}

  /**
   * Makes the folder; without a path the next free number in runs/.
   * @throws UsageError when the folder exists and holds anything
   */
  static create(path?: string): RunFolder {
    if (path === undefined) return new RunFolder(nextFree('runs'));
    RunFolder.checkFree(path);
    mkdirSync(path, { recursive: true });
    return new RunFolder(path);
  }

  /** @throws UsageError when the folder exists and holds anything */
  static checkFree(path: string): void {
    if (!existsSync(path) || readdirSync(path).length === 0) return;
    throw new UsageError(`--run ${path} is not empty; go on with it by --resume ${path}, or choose another folder`);
  }

  /** @throws DataError when there is no run to go on with */
  static open(path: string): RunFolder {
    const folder = new RunFolder(path);
    if (!existsSync(folder.last)) {
      const what = existsSync(path) ? `${path} holds no ${LAST}.safetensors` : `${path} does not exist`;
      throw new DataError(`nothing to resume: ${what}; --resume takes the folder of a run, such as runs/1`);
    }
    return folder;
  }

  /** The checkpoint to go on from. */
  get last(): string {
    return join(this.path, `${LAST}.safetensors`);
  }

  /** The checkpoint with the highest validation Dice. */
  get best(): string {
    return join(this.path, 'best.safetensors');
  }

  get predictions(): string {
    return join(this.path, 'predictions');
  }

  get history(): string {
    return join(this.path, 'history.jsonl');
  }

  writeSettings(settings: object): void {
    writeFileAtomic(join(this.path, 'settings.json'), `${JSON.stringify(settings, null, 2)}\n`);
  }

  writeHistory(records: readonly EpochRecord[]): void {
    writeFileAtomic(this.history, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  }

  /**
   * The history of the first `epochs` epochs. Later lines belong to an epoch whose checkpoint was not saved any more, and
   * a last line that is cut off to a crash; both are made again.
   * @throws DataError when a line in the middle is damaged
   */
  readHistory(epochs: number): EpochRecord[] {
    if (!existsSync(this.history)) return [];
    const lines = readFileSync(this.history, 'utf8')
      .split('\n')
      .filter((line) => line.trim() !== '');
    const records = lines.flatMap((line, i) => {
      try {
        return [JSON.parse(line) as EpochRecord];
      } catch {
        if (i === lines.length - 1) return [];
        throw new DataError(`${this.history}: line ${i + 1} is not JSON; mend or remove the line to resume`);
      }
    });
    return records.filter(({ epoch }) => epoch <= epochs);
  }
}

const LAST = 'last';

/** Making the folder claims its number, so that two runs that start at once get two. */
function nextFree(parent: string): string {
  mkdirSync(parent, { recursive: true });
  const taken = readdirSync(parent).map(Number).filter(Number.isSafeInteger);
  for (let i = Math.max(0, ...taken) + 1; ; i++) {
    const path = join(parent, String(i));
    try {
      mkdirSync(path);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
