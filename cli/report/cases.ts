/** Which photos of a split are worth a look. */
import type { SplitName } from '../../data/dataset.js';
import type { PhotoScores } from '../evaluation.js';

/** What people call a split. */
export const splitWord = (split: SplitName): string =>
  ({ train: 'training', valid: 'validation', test: 'test' })[split];

/** Photos of a group, in the order of their Dice. */
export interface CaseGroup<T> {
  id: 'worst' | 'median' | 'best';
  photos: T[];
}

/**
 * The `count` worst, median and best photos by Dice; no photo twice: of fewer than three times `count` each group gets
 * about a third. Equal scores keep their order. The best begin with the best.
 */
export function chooseCases<T extends Pick<PhotoScores, 'dice'>>(photos: readonly T[], count: number): CaseGroup<T>[] {
  const sorted = [...photos].sort((a, b) => a.dice - b.dice);
  const total = sorted.length;
  const worst = Math.min(count, Math.ceil(total / 3));
  const best = Math.min(count, Math.round(total / 3));
  const median = Math.min(count, total - worst - best);
  const middle = Math.min(Math.max(Math.round((total - median) / 2), worst), total - best - median);
  return [
    { id: 'worst', photos: sorted.slice(0, worst) },
    { id: 'median', photos: sorted.slice(middle, middle + median) },
    { id: 'best', photos: sorted.slice(total - best).reverse() },
  ];
}

/** Scores of a photo that are low where it is hard. */
export const METRICS = ['dice', 'iou', 'precision', 'recall', 'boundary_f'] as const;

/** The photos that are among the `count` hardest by any metric, by Dice, the hardest first. */
export function hardestPhotos(photos: readonly PhotoScores[], count: number): PhotoScores[] {
  const hard = new Set(
    METRICS.flatMap((metric) =>
      photos
        .filter((photo) => photo[metric] !== null)
        .sort((a, b) => a[metric]! - b[metric]!)
        .slice(0, count),
    ),
  );
  return photos.filter((photo) => hard.has(photo)).sort((a, b) => a.dice - b.dice);
}
