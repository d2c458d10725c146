/**
 * Segmentation metrics from pixel counts. The GPU counts (`ops/segmentationCounts.ts`); ratios are taken here, in
 * float64. Data-set values come from counts added over images, never from means of means.
 */

/** Pixels of one image, or of many added up. */
export interface PixelCounts {
  /** Foreground in both prediction and target. */
  intersection: number;
  predicted: number;
  true: number;
  /** All pixels. */
  pixels: number;
}

/**
 * Splits what `segmentationCounts` gives ([N, 4, 1, 1], plain order) into images; `count` leaves padding images of a
 * partial batch out.
 */
export function readCounts(values: ArrayLike<number>, count = values.length / 4): PixelCounts[] {
  if (values.length % 4 !== 0 || count * 4 > values.length) {
    throw new Error(`readCounts: ${values.length} numbers cannot be the counts of ${count} images, four an image`);
  }
  return Array.from({ length: count }, (_, i) => ({
    intersection: values[i * 4],
    predicted: values[i * 4 + 1],
    true: values[i * 4 + 2],
    pixels: values[i * 4 + 3],
  }));
}

/** The counts of all images together. */
export function totalCounts(images: readonly PixelCounts[]): PixelCounts {
  const total: PixelCounts = { intersection: 0, predicted: 0, true: 0, pixels: 0 };
  for (const image of images) {
    total.intersection += image.intersection;
    total.predicted += image.predicted;
    total.true += image.true;
    total.pixels += image.pixels;
  }
  return total;
}

/** Foreground in prediction or target. */
export const union = (counts: PixelCounts): number => counts.predicted + counts.true - counts.intersection;

/** 2 |P and T| / (|P| + |T|); 1 when both are empty. */
export function dice(counts: PixelCounts): number {
  const sizes = counts.predicted + counts.true;
  return sizes === 0 ? 1 : (2 * counts.intersection) / sizes;
}

/** |P and T| / |P or T|; 1 when both are empty. */
export function iou(counts: PixelCounts): number {
  return union(counts) === 0 ? 1 : counts.intersection / union(counts);
}

/** The share of pixels on which prediction and target agree, background included (report 1 calls it Dice). */
export const pixelAccuracy = (counts: PixelCounts): number =>
  (counts.pixels - union(counts) + counts.intersection) / counts.pixels;

/**
 * Dice of probabilities without a threshold, from what `diceSums` gives for a row: sums of p t, of p and of t (report
 * 2's score).
 */
export const softDice = (sums: ArrayLike<number>, eps = 1e-8): number => (2 * sums[0]) / (sums[1] + sums[2] + eps);

export interface SegmentationScores {
  /** Means over images of the values per image. */
  dice: number;
  iou: number;
  /** From the counts of all images together. */
  dataSetDice: number;
  dataSetIou: number;
  pixelAccuracy: number;
}

/**
 * The scores of a data set.
 * @throws Error when there are no images
 */
export function segmentationScores(images: readonly PixelCounts[]): SegmentationScores {
  if (images.length === 0) throw new Error('segmentationScores: there are no images');
  const mean = (score: (counts: PixelCounts) => number) =>
    images.reduce((sum, image) => sum + score(image), 0) / images.length;
  const total = totalCounts(images);
  return {
    dice: mean(dice),
    iou: mean(iou),
    dataSetDice: dice(total),
    dataSetIou: iou(total),
    pixelAccuracy: pixelAccuracy(total),
  };
}
