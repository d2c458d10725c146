/** Scores of the present weights on samples of the cache. */
import { augmentationFloats, identityAugmentation } from '../data/augment.js';
import { Batches } from '../data/batches.js';
import type { Cache } from '../data/cache.js';
import type { Device } from '../engine/device.js';
import { type PixelCounts, readCounts, segmentationScores, type SegmentationScores } from '../engine/metrics.js';
import type { Variables } from '../engine/variables.js';
import { EvaluationStep, type ModelSettings } from '../nets/steps.js';

export interface Scores extends SegmentationScores {
  images: number;
  /** Mean over the images. */
  loss: number;
}

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

  constructor(
    private readonly device: Device,
    private readonly variables: Variables,
    private readonly settings: ModelSettings,
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
  ): Promise<Scores> {
    const counts: PixelCounts[] = [];
    let lossSum = 0;
    const batches = new Batches(cache, { batchSize: Math.min(batchSize, indices.length), indices, last: 'pad' });
    for await (const { count, pixels } of batches) {
      onProgress(counts.length);
      const step = await this.step(count);
      step.run(pixels.subarray(0, count * cache.recordBytes), unaugmented(count));
      const result = await step.result();
      counts.push(...readCounts(result.counts));
      lossSum += result.loss * count;
    }
    return { images: counts.length, loss: lossSum / counts.length, ...segmentationScores(counts) };
  }

  destroy(): void {
    for (const step of this.steps.values()) step.destroy();
  }
}

/** Scores of a prediction that does not look at the photo: every pixel foreground, or every pixel background. */
export function baseline(
  cache: Cache,
  indices: readonly number[],
  predicted: 'foreground' | 'background',
): SegmentationScores {
  const pixels = cache.height * cache.width;
  return segmentationScores(
    indices.map((index) => {
      const { foreground } = cache.samples[index];
      return predicted === 'foreground'
        ? { intersection: foreground, predicted: pixels, true: foreground, pixels }
        : { intersection: 0, predicted: 0, true: foreground, pixels };
    }),
  );
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
