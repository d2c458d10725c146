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
  /** All pixels that are counted. */
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

/**
 * The share of pixels on which prediction and target agree, background included (report 1 calls it Dice); 1 when all
 * pixels are left out.
 */
export const pixelAccuracy = (counts: PixelCounts): number =>
  counts.pixels === 0 ? 1 : (counts.pixels - union(counts) + counts.intersection) / counts.pixels;

/**
 * The share of the prediction that is foreground: TP / (TP + FP). Where nothing is predicted it is 1 if nothing is there,
 * and 0 otherwise.
 */
export function precision(counts: PixelCounts): number {
  if (counts.predicted === 0) return counts.true === 0 ? 1 : 0;
  return counts.intersection / counts.predicted;
}

/**
 * The share of the foreground that is found: TP / (TP + FN). Where there is none it is 1 if nothing is predicted, and 0
 * otherwise.
 */
export function recall(counts: PixelCounts): number {
  if (counts.true === 0) return counts.predicted === 0 ? 1 : 0;
  return counts.intersection / counts.true;
}

/** Boundary pixels of one image, or of many added up: see `ops/boundaryCounts.ts`. */
export interface BoundaryCounts {
  predicted: number;
  /** Of the predicted ones, those near the target's boundary. */
  predictedMatched: number;
  true: number;
  /** Of the target's, those near the predicted boundary. */
  trueMatched: number;
}

/** Splits what `boundaryCounts` gives ([N, 4, 1, 1], plain order) into images. */
export function readBoundaryCounts(values: ArrayLike<number>): BoundaryCounts[] {
  return Array.from({ length: values.length / 4 }, (_, i) => ({
    predicted: values[i * 4],
    predictedMatched: values[i * 4 + 1],
    true: values[i * 4 + 2],
    trueMatched: values[i * 4 + 3],
  }));
}

/** The counts of all images together. */
export function totalBoundaryCounts(images: readonly BoundaryCounts[]): BoundaryCounts {
  const total: BoundaryCounts = { predicted: 0, predictedMatched: 0, true: 0, trueMatched: 0 };
  for (const image of images) {
    for (const key of Object.keys(total) as (keyof BoundaryCounts)[]) total[key] += image[key];
  }
  return total;
}

/**
 * Boundary F-score 2 P R / (P + R): P the share of the predicted boundary that is near the target's, R the share of the
 * target's that is near the predicted one. 1 when neither has a boundary, 0 when one of them has none.
 * Source: Csurka, Larlus and Perronnin, "What is a good evaluation measure for semantic segmentation?", 2013.
 */
export function boundaryF({ predicted, predictedMatched, true: truth, trueMatched }: BoundaryCounts): number {
  if (predicted === 0 || truth === 0) return predicted === truth ? 1 : 0;
  const [p, r] = [predictedMatched / predicted, trueMatched / truth];
  return p + r === 0 ? 0 : (2 * p * r) / (p + r);
}

/**
 * Dice of probabilities without a threshold, from what `diceSums` gives for a row: sums of p t, of p and of t (report
 * 2's score).
 */
export const softDice = (sums: ArrayLike<number>, eps = 1e-8): number => (2 * sums[0]) / (sums[1] + sums[2] + eps);

export interface SegmentationScores {
  /** Means over images of the values per image. */
  dice: number;
  iou: number;
  precision: number;
  recall: number;
  pixelAccuracy: number;
  /** From the counts of all images together. */
  dataSetDice: number;
  dataSetIou: number;
  dataSetPrecision: number;
  dataSetRecall: number;
  dataSetPixelAccuracy: number;
  /**
   * Images without any foreground in the target, and those of them with nothing predicted. In the means above the latter
   * have 1 and the rest of them 0; `diceElsewhere` is the mean over the other images (null: there are none).
   */
  emptyTruth: { images: number; predictedEmpty: number; diceElsewhere: number | null };
}

/**
 * The scores of a data set.
 * @throws Error when there are no images
 */
export function segmentationScores(images: readonly PixelCounts[]): SegmentationScores {
  if (images.length === 0) throw new Error('segmentationScores: there are no images');
  const mean = (score: (counts: PixelCounts) => number, of = images) =>
    of.reduce((sum, image) => sum + score(image), 0) / of.length;
  const total = totalCounts(images);
  const empty = images.filter((image) => image.true === 0);
  const others = images.filter((image) => image.true > 0);
  return {
    dice: mean(dice),
    iou: mean(iou),
    precision: mean(precision),
    recall: mean(recall),
    pixelAccuracy: mean(pixelAccuracy),
    dataSetDice: dice(total),
    dataSetIou: iou(total),
    dataSetPrecision: precision(total),
    dataSetRecall: recall(total),
    dataSetPixelAccuracy: pixelAccuracy(total),
    emptyTruth: {
      images: empty.length,
      predictedEmpty: empty.filter(({ predicted }) => predicted === 0).length,
      diceElsewhere: others.length > 0 ? mean(dice, others) : null,
    },
  };
}

export interface BoundaryScores {
  /** Mean over images. */
  boundaryF: number;
  /** From the counts of all images together. */
  dataSetBoundaryF: number;
}

/** @throws Error when there are no images */
export function boundaryScores(images: readonly BoundaryCounts[]): BoundaryScores {
  if (images.length === 0) throw new Error('boundaryScores: there are no images');
  return {
    boundaryF: images.reduce((sum, image) => sum + boundaryF(image), 0) / images.length,
    dataSetBoundaryF: boundaryF(totalBoundaryCounts(images)),
  };
}

/** What a batch of an evaluation leaves for the reports' own metrics. */
export interface BatchCounts {
  images: readonly PixelCounts[];
  /** Sums of p t, of p and of t over the batch (`diceSums`). */
  softSums: ArrayLike<number>;
}

/** The reports' own scores, under names of their own: none is the Dice of the thresholded masks. */
export interface ReportScores {
  /** Report 1's "Dice": the share of pixels on which prediction and target agree, mean over images. */
  pixel_agreement_report1: number;
  /** Reports 2, 3 and 4: Dice of the probabilities over all pixels of a batch, mean over batches. */
  soft_dice_batch: number;
  /** Reports 0, 2, 3 and 4: Dice per image, mean over each batch and then over batches, so a smaller last one counts full. */
  mean_of_batches: number;
}

/** @throws Error when there are no batches */
export function reportScores(batches: readonly BatchCounts[]): ReportScores {
  if (batches.length === 0) throw new Error('reportScores: there are no batches');
  const mean = <T>(list: readonly T[], score: (item: T) => number) =>
    list.reduce((sum, item) => sum + score(item), 0) / list.length;
  const images = batches.flatMap((batch) => batch.images);
  return {
    pixel_agreement_report1: mean(images, pixelAccuracy),
    soft_dice_batch: mean(batches, ({ softSums }) => softDice(softSums)),
    mean_of_batches: mean(batches, (batch) => mean(batch.images, dice)),
  };
}
