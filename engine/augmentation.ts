/**
 * What is said to the augmentation kernel about each image of a batch: the contract between who draws the numbers
 * (`data/augment.ts`) and who applies them (`ops/augmentImages.ts`, and `data/augmentReference.ts` slowly).
 */

/** Floats per image: 22 vec4f. */
export const augmentationFloats = 88;

/**
 * Where each parameter stands among an image's floats. Positions are in pixels, with whole numbers at pixel centres.
 *
 * - `affine` (a, b, c, d, e, f): the output pixel at column x and row y shows the frame at column a x + b y + c and row
 *   d x + e y + f, where x and y have been moved by the elastic displacement first.
 * - `border`: what lies outside the frame: 0 black and background, 1 the frame mirrored without repeating its edge.
 * - `elasticOn`: 1 where there is a displacement.
 * - `box` (left, top, right, bottom; right and bottom excluded, and cut to the image): the part of the image that fills
 *   the frame, whose size is the image's; `boxScale` (x, y): the box's size divided by the frame's.
 * - `elastic`: displacements (x, y) at 3 x 3 nodes row by row, on the corners, the middles of the sides and the centre;
 *   bicubic between them.
 * - `program`: up to `programSteps` colour steps of four floats, `colourSteps` says which; ends early at `end`.
 */
export const augmentationLayout = {
  affine: 0,
  border: 6,
  elasticOn: 7,
  box: 8,
  boxScale: 12,
  elastic: 16,
  program: 36,
} as const;

/** Room for every colour transform that can be drawn for one sample. */
export const programSteps = 13;

/** A box edge beyond every image. */
export const wholeImage = 2 ** 20;

/**
 * The colour steps on rgb in 0 .. 1 by number; a step is (number, its parameters). `slot` is the place of a mean over
 * the image as it is at that step: slots of a program count from 0 in the program's order.
 */
export const colourSteps = {
  end: 0,
  /** (factor): clamp(factor rgb). */
  brightness: 1,
  /** (factor, slot): clamp(factor rgb + (1 - factor) m), m the mean grey. */
  contrast: 2,
  /** (factor): clamp(factor rgb + (1 - factor) grey), the pixel's own grey. */
  saturation: 3,
  /** (shift): the hue of HSV moved by shift turns. */
  hue: 4,
  /** (g): rgb^g. */
  gamma: 5,
  /** (clip limit, plane): contrast-limited adaptive histogram equalisation of a plane of `equalisedPlanes`. */
  clahe: 6,
  /** (r, g, b): which channel each one takes. */
  channelShuffle: 7,
  /** (factor, offset, slot): clamp(factor rgb + offset m), m the mean of all channels, or 1 where slot is -1. */
  brightnessContrast: 8,
  /** (low, high): the cubic Bezier curve with ordinates 0, low, high, 1. */
  toneCurve: 9,
} as const;

/** What is equalised: the lightness of CIE Lab, or, of a grey picture in three equal channels, the value itself. */
export const equalisedPlanes = { lightness: 0, grey: 1 } as const;

/** Weights of red, green and blue in grey, as torchvision has them (ITU-R BT.601 with the first cut to four digits). */
export const greyWeights = [0.2989, 0.587, 0.114] as const;

/**
 * What programs may ask for beyond single pixels; each costs passes over the batch, so a plan has no more than its
 * settings need. The equalisation comes before every step that takes a mean, and at most once.
 */
export interface ImageStatistics {
  /** Slots for means: programs use slots 0 .. means - 1. */
  means: number;
  /** Tiles of the equalisation in x and y; without it programs have no such step. */
  tiles?: readonly [x: number, y: number];
}

/** For programs that need no statistics, such as evaluation's, which are empty. */
export const noStatistics: ImageStatistics = { means: 0 };

/** Parameters that leave an image as it is. */
export function identityAugmentation(): Float32Array<ArrayBuffer> {
  const result = new Float32Array(augmentationFloats);
  const { affine, box, boxScale } = augmentationLayout;
  for (const at of [affine, affine + 4, boxScale, boxScale + 1]) result[at] = 1;
  result[box + 2] = wholeImage;
  result[box + 3] = wholeImage;
  return result;
}
