/** How sure a difference of means over the same photos is. */
import { Random } from '../../engine/random.js';

export interface Interval {
  /** Mean of b - a over the photos. */
  difference: number;
  /** Ends of the interval that holds 95 % of the resampled means. */
  low: number;
  high: number;
  photos: number;
  resamples: number;
}

const RESAMPLES = 10_000;
const OUTSIDE = 0.05;

/**
 * Percentile interval of the paired bootstrap: photos are drawn with replacement, each with both of its scores, and the
 * difference of the means is taken anew. B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), 13.3. It
 * says how much the result hangs on the choice of photos; what another seed of the training would change is not in it.
 * @param a scores of one run; `b` those of the other, of the same photos in the same order
 */
export function pairedBootstrap(a: readonly number[], b: readonly number[], resamples = RESAMPLES): Interval {
  if (a.length !== b.length || a.length === 0) {
    throw new Error(
      `pairedBootstrap: ${a.length} scores against ${b.length}; they are of the same photos, one or more`,
    );
  }
  const photos = a.length;
  const differences = Float64Array.from(a, (score, i) => b[i] - score);
  const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
  // One seed for all: the same two runs always give the same interval.
  const random = new Random('bootstrap');
  const means = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    let sum = 0;
    for (let j = 0; j < photos; j++) sum += differences[random.integer(photos)];
    means[i] = sum / photos;
  }
  means.sort();
  return {
    difference: mean(differences),
    low: quantile(means, OUTSIDE / 2),
    high: quantile(means, 1 - OUTSIDE / 2),
    photos,
    resamples,
  };
}

/** Linear between the two nearest of sorted values. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}
