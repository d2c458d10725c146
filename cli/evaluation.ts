/** Scores of the present weights on samples of the cache. */
import { augmentationFloats, identityAugmentation } from '../data/augment.js';
import { Batches } from '../data/batches.js';
import type { Cache } from '../data/cache.js';
import type { Device } from '../engine/device.js';
import {
  type BatchCounts,
  type BoundaryCounts,
  boundaryF,
  type BoundaryScores,
  boundaryScores,
  dice,
  iou,
  type PixelCounts,
  precision,
  readBoundaryCounts,
  readCounts,
  recall,
  type ReportScores,
  reportScores,
  segmentationScores,
  type SegmentationScores,
} from '../engine/metrics.js';
import type { Plan } from '../engine/plan.js';
import { type FittedThreshold, ThresholdFit } from '../engine/thresholdFit.js';
import type { Variables } from '../engine/variables.js';
import { type EvaluationSettings, EvaluationStep } from '../nets/evaluationStep.js';
import { borderBytes } from './border.js';
import type { MaskSummary } from './prediction.js';
import type { Border } from './settings.js';

/** The boundary's scores and the reports' own are there where the evaluator's settings ask for them. */
export interface Scores extends SegmentationScores, Partial<BoundaryScores>, Partial<ReportScores> {
  images: number;
  /** Mean over the images. */
  loss: number;
}

/** Scores of one photo, as `test.json` and `valid.json` list them. */
export interface PhotoScores {
  /** Unique within its split. */
  name: string;
  /** Where the data set's lists have breeds. */
  breed?: string;
  dice: number;
  iou: number;
  precision: number;
  recall: number;
  /** At 2 pixels; null where the evaluator does not count boundaries. */
  boundary_f: number | null;
}

/** Scores of a split, and of each of its photos in the order of the split. */
export interface Evaluation {
  scores: Scores;
  photos: PhotoScores[];
  masks: MaskSummary;
  /** Device memory of the plans that it took, without the weights. */
  bytes: number;
}

/** What the net makes of one sample. */
export interface Prediction {
  /** Into `cache.samples`. */
  index: number;
  /** height x width x (R, G, B, mask byte), as the cache holds it. */
  record: Uint8Array;
  /** height x width; foreground where it is above `EvaluationSettings.threshold`. */
  logits: Float32Array;
}

/** The logit of a probability: where the step compares logits, users speak of probabilities. */
export const logitOf = (probability: number): number => Math.log(probability / (1 - probability));

/** Parameters for `batch` images that are left as they are. */
export function unaugmented(batch: number): Float32Array {
  const parameters = new Float32Array(batch * augmentationFloats);
  for (let i = 0; i < batch; i++) parameters.set(identityAugmentation(), i * augmentationFloats);
  return parameters;
}

/**
 * Runs the net over samples in a fixed order. The last, smaller batch has a plan of its own, so that the loss, too, is a
 * mean over images, each counted once.
 */
export class Evaluator {
  private readonly steps = new Map<number, EvaluationStep>();

  /** @param settings whatever they count beside the pixels costs time: the boundary, say */
  constructor(
    private readonly device: Device,
    private readonly variables: Variables,
    private readonly settings: Omit<EvaluationSettings, 'batch'>,
  ) {}

  /** The plan for a batch size, made when first asked for. */
  async step(batch: number): Promise<EvaluationStep> {
    let step = this.steps.get(batch);
    if (!step) {
      step = await EvaluationStep.compile(this.device, this.variables, { ...this.settings, batch });
      this.steps.set(batch, step);
    }
    return step;
  }

  /** @param onProgress called before each batch with the images done; what it throws ends the evaluation */
  async evaluate(
    cache: Cache,
    indices: readonly number[],
    batchSize: number,
    onProgress: (done: number) => void = () => {},
  ): Promise<Evaluation> {
    const images: PixelCounts[] = [];
    const boundaries: BoundaryCounts[] = [];
    const batches: BatchCounts[] = [];
    const plans = new Set<Plan>();
    let lossSum = 0;
    for await (const { step } of this.run(cache, indices, batchSize, onProgress)) {
      plans.add(step.plan);
      const { loss, counts, boundary, softSums } = await step.result();
      const own = readCounts(counts);
      images.push(...own);
      lossSum += loss * own.length;
      if (boundary) boundaries.push(...readBoundaryCounts(boundary));
      if (softSums) batches.push({ images: own, softSums });
    }
    return {
      scores: {
        images: images.length,
        loss: lossSum / images.length,
        ...segmentationScores(images),
        ...(this.settings.boundary ? boundaryScores(boundaries) : {}),
        ...(this.settings.softSums ? reportScores(batches) : {}),
      },
      bytes: [...plans].reduce((sum, { memory }) => sum + memory.transient + memory.inputs, 0),
      masks: {
        masks: images.length,
        empty: images.filter(({ predicted }) => predicted === 0).length,
        full: images.filter(({ predicted, pixels }) => predicted === pixels).length,
      },
      photos: images.map((image, i) => ({
        ...describeSample(cache, indices[i]),
        dice: dice(image),
        iou: iou(image),
        precision: precision(image),
        recall: recall(image),
        boundary_f: this.settings.boundary ? boundaryF(boundaries[i]) : null,
      })),
    };
  }

  /** What the net makes of samples, one after another, for pictures. */
  async *predict(cache: Cache, indices: readonly number[], batchSize: number): AsyncGenerator<Prediction> {
    const area = cache.height * cache.width;
    let done = 0;
    for await (const { step, pixels } of this.run(cache, indices, batchSize)) {
      const logits = await step.readLogits();
      for (let i = 0; i < step.batch; i++) {
        const record = pixels.slice(i * cache.recordBytes, (i + 1) * cache.recordBytes);
        yield { index: indices[done++], record, logits: logits.slice(i * area, (i + 1) * area) };
      }
    }
  }

  /**
   * The threshold with the highest mean Dice on these samples.
   * @throws Error when the evaluator's settings have no `thresholds`
   */
  async fitThreshold(
    cache: Cache,
    indices: readonly number[],
    batchSize: number,
    onProgress: (done: number) => void = () => {},
  ): Promise<FittedThreshold> {
    const fit = new ThresholdFit(this.settings.thresholds);
    for await (const { step } of this.run(cache, indices, batchSize, onProgress)) {
      const { counts, thresholdCounts } = await step.result();
      if (!thresholdCounts) throw new Error('fitThreshold: the settings of the evaluator have no thresholds');
      fit.add(thresholdCounts, readCounts(counts));
    }
    return fit.best();
  }

  /** The steps batch by batch, each submitted with as many images as count, and their records. */
  private async *run(
    cache: Cache,
    indices: readonly number[],
    batchSize: number,
    onProgress: (done: number) => void = () => {},
  ): AsyncGenerator<{ step: EvaluationStep; pixels: Uint8Array }> {
    const batches = new Batches(cache, { batchSize: Math.min(batchSize, indices.length), indices, last: 'pad' });
    let done = 0;
    for await (const { count, pixels } of batches) {
      onProgress(done);
      const step = await this.step(count);
      step.run(pixels.subarray(0, count * cache.recordBytes), unaugmented(count));
      yield { step, pixels };
      done += count;
    }
  }

  destroy(): void {
    for (const step of this.steps.values()) step.destroy();
  }
}

function describeSample(cache: Cache, index: number): Pick<PhotoScores, 'name' | 'breed'> {
  const { name, breed } = cache.samples[index];
  return breed === undefined ? { name } : { name, breed };
}

/** Scores of two predictions that do not look at the photo: every pixel foreground, and every pixel background. */
export async function baselines(
  cache: Cache,
  indices: readonly number[],
  border: Border,
): Promise<{ foreground: SegmentationScores; background: SegmentationScores }> {
  const truths = await trueCounts(cache, indices, border);
  return {
    foreground: segmentationScores(
      truths.map((truth) => ({ ...truth, intersection: truth.true, predicted: truth.pixels })),
    ),
    background: segmentationScores(truths.map((truth) => ({ ...truth, intersection: 0, predicted: 0 }))),
  };
}

/** Foreground and counted pixels of the masks. The cache knows the foreground with the border; others are counted. */
async function trueCounts(
  cache: Cache,
  indices: readonly number[],
  border: Border,
): Promise<Pick<PixelCounts, 'true' | 'pixels'>[]> {
  const pixels = cache.height * cache.width;
  if (border === 'pet') return indices.map((index) => ({ true: cache.samples[index].foreground, pixels }));
  const { foreground, ignored } = borderBytes[border];
  const record = new Uint8Array(cache.recordBytes);
  const counts = [];
  for (const index of indices) {
    await cache.read(index, record);
    const own = { true: 0, pixels: 0 };
    for (let i = 3; i < record.length; i += 4) {
      if (foreground.includes(record[i])) own.true++;
      if (!ignored.includes(record[i])) own.pixels++;
    }
    counts.push(own);
  }
  return counts;
}

const HEADINGS = ['', 'photos', 'Dice', 'IoU', 'pixel accuracy', 'Dice of all pixels', 'IoU of all pixels', 'loss'];

/** The rows of a table of scores; Dice and IoU are means over photos, and 1 where truth and prediction are both empty. */
export function scoreRows(scores: Readonly<Record<string, Scores>>): string[][] {
  const rows = Object.entries(scores).map(([name, s]) => [
    name,
    String(s.images),
    ...[s.dice, s.iou, s.pixelAccuracy, s.dataSetDice, s.dataSetIou, s.loss].map((value) => value.toFixed(4)),
  ]);
  return [HEADINGS, ...rows];
}
