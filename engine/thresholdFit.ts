import { dice, type PixelCounts } from './metrics.js';
import type { ThresholdGrid } from './ops/thresholdCounts.js';

/** Logits from -3.75 to 3.75, probabilities 0.023 to 0.977; exact in float32, and 0 is one of them. */
export const LOGIT_GRID: ThresholdGrid = { first: -3.75, step: 0.25, count: 31 };

export interface FittedThreshold {
  /** The logit above which a pixel is foreground. */
  logit: number;
  /** The same as a probability. */
  probability: number;
  /** Mean Dice per image at this threshold, and at logit 0 where the grid has it (null otherwise). */
  dice: number;
  diceAtZero: number | null;
}

/** Finds the threshold with the highest mean Dice per image, batch by batch. For validation images, not for test ones. */
export class ThresholdFit {
  private readonly sums: Float64Array;
  private images = 0;

  constructor(readonly grid: ThresholdGrid = LOGIT_GRID) {
    this.sums = new Float64Array(grid.count);
  }

  /**
   * @param values what `thresholdCounts` gives for a batch, [N, 2 count, 1, 1] in the plain order
   * @param counts of the same images in the same order (`readCounts`); fewer leave the batch's padding out
   */
  add(values: ArrayLike<number>, counts: readonly PixelCounts[]): void {
    const { count } = this.grid;
    if (counts.length * 2 * count > values.length) {
      const wanted = `the counts of ${counts.length} images at ${count} thresholds`;
      throw new Error(`ThresholdFit: ${values.length} numbers cannot be ${wanted}`);
    }
    counts.forEach((image, n) => {
      for (let k = 0; k < count; k++) {
        const at = 2 * (n * count + k);
        this.sums[k] += dice({ ...image, intersection: values[at], predicted: values[at + 1] });
      }
    });
    this.images += counts.length;
  }

  /**
   * Of several equally good thresholds the one nearest to logit 0.
   * @throws Error when no image was added
   */
  best(): FittedThreshold {
    if (this.images === 0) throw new Error('ThresholdFit: there are no images');
    const { first, step, count } = this.grid;
    const logits = Array.from({ length: count }, (_, k) => first + k * step);
    let best = 0;
    for (let k = 1; k < count; k++) {
      const gain = this.sums[k] - this.sums[best];
      if (gain > 0 || (gain === 0 && Math.abs(logits[k]) < Math.abs(logits[best]))) best = k;
    }
    const zero = logits.indexOf(0);
    return {
      logit: logits[best],
      probability: 1 / (1 + Math.exp(-logits[best])),
      dice: this.sums[best] / this.images,
      diceAtZero: zero < 0 ? null : this.sums[zero] / this.images,
    };
  }
}
