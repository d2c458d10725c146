/** `--tensorboard`: event files in the run's folder; `tensorboard --logdir runs` shows them. */
import { encodeGreyPng, encodeRgbPng } from '../../data/png.js';
import { borderBytes } from '../border.js';
import type { Prediction } from '../evaluation.js';
import type { RunObserver, RunStart } from '../observers.js';
import { EventFile, type PngImage } from './eventFile.js';

/** Validation photos whose predictions are logged, spread over the split and the same in every epoch. */
const PHOTOS = 3;

/**
 * Scalars of every step and epoch, and report 2's three pictures: photo, true mask, and the probabilities predicted. All at
 * the number of steps done, so that the charts lie over each other.
 */
export function tensorBoard(): RunObserver {
  let events: EventFile | undefined;
  let newPictures = true;
  // Opened by the first event, which knows where a resumed run goes on: somewhere within an epoch.
  const open = ({ folder }: RunStart, next: number) =>
    (events ??= EventFile.create(folder.path, next > 1 ? next : undefined));
  return {
    name: 'tensorboard',
    step(run, { step, loss, dice, learningRate, gradientNorm }) {
      open(run, step).add(step, {
        scalars: {
          'step/loss_augmented': loss,
          'step/dice_augmented': dice,
          'step/learning_rate': learningRate,
          'step/gradient_norm': gradientNorm,
        },
      });
    },
    async epoch(run, { record }) {
      const { epoch, seconds, ...scalars } = record;
      const tags = Object.entries(scalars).map(([name, value]) => [`epoch/${name}`, value]);
      const images = await pictures(run, newPictures);
      newPictures = false;
      const step = epoch * run.batchesPerEpoch;
      open(run, step + 1).add(step, {
        scalars: { ...Object.fromEntries(tags), 'epoch/minutes': seconds / 60 },
        images,
      });
    },
    finished(run, { valid, test }) {
      const rows = [
        ...Object.entries(valid.scores).map(tag('valid')),
        ...Object.entries(test?.scores ?? {}).map(tag('test')),
      ];
      const step = run.history.length * run.batchesPerEpoch;
      open(run, step + 1).add(step, {
        scalars: Object.fromEntries(rows.filter(([, value]) => typeof value === 'number')),
      });
      events?.close();
    },
    stopped: () => events?.close(),
  };
}

const tag =
  (split: string) =>
  ([name, value]: [string, unknown]): [string, number] => [`best_${split}/${name}`, value as number];

/** @param whole with photo and truth, which stay the same */
async function pictures(run: RunStart, whole: boolean): Promise<Record<string, PngImage>> {
  const { cache, evaluator, settings } = run;
  const valid = cache.indices('valid');
  const count = Math.min(PHOTOS, valid.length);
  const chosen = Array.from({ length: count }, (_, i) => valid[Math.floor((i * valid.length) / count)]);
  const { height, width } = cache;
  const grey = (values: Uint8Array): PngImage => ({
    height,
    width,
    colorspace: 1,
    png: encodeGreyPng(values, height, width),
  });
  const images: Record<string, PngImage> = {};
  for await (const { index, record, logits } of evaluator.predict(cache, chosen, settings.batchSize)) {
    const name = cache.samples[index].name;
    if (whole) {
      const pixels = Uint8Array.from({ length: 3 * height * width }, (_, i) => record[4 * Math.floor(i / 3) + (i % 3)]);
      images[`${name}/1_photo`] = { height, width, colorspace: 3, png: encodeRgbPng({ height, width, pixels }) };
      images[`${name}/2_truth`] = grey(truth(record, borderBytes[settings.border].foreground));
    }
    images[`${name}/3_prediction`] = grey(probabilities(logits));
  }
  return images;
}

const truth = (record: Prediction['record'], foreground: readonly number[]): Uint8Array =>
  Uint8Array.from({ length: record.length / 4 }, (_, i) => (foreground.includes(record[4 * i + 3]) ? 255 : 0));

const probabilities = (logits: Prediction['logits']): Uint8Array =>
  Uint8Array.from(logits, (logit) => Math.round(255 / (1 + Math.exp(-logit))));
