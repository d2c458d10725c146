/** Settings for tests of the augmentation. */
import type { AugmentSettings } from '../../data/augment.js';

type TransformName = Exclude<keyof AugmentSettings, 'border'>;

/** Every transform, geometry first, in the order of application; the type keeps the list complete. */
export const everyTransform = {
  randomResizedCrop: { p: 0.5, scale: [0.08, 1], ratio: [0.75, 1.33] },
  horizontalFlip: { p: 0.5 },
  verticalFlip: { p: 0.5 },
  rotation: { p: 0.5, degrees: [-30, 30] },
  affine: { p: 0.5, degrees: [-30, 30], translate: [0.1, 0.1], scale: [0.8, 1.2], shear: [-10, 10] },
  shiftScaleRotate: { p: 0.5, shift: 0.2, scale: 0.2, rotate: 15 },
  elastic: { p: 0.5, sigma: 2 },
  gamma: { p: 0.5, exponent: [0.8, 1.28] },
  clahe: { p: 0.5, clipLimit: [1, 4], tiles: [8, 8], channel: 'lightness' },
  channelShuffle: { p: 0.5 },
  brightnessContrast: { p: 0.5, brightness: [-0.2, 0.2], contrast: [0.8, 1.2], by: 'mean' },
  toneCurve: { p: 0.5, scale: 0.1 },
  brightness: { p: 0.5, factor: [0.8, 1.2] },
  contrast: { p: 0.5, factor: [0.8, 1.2] },
  saturation: { p: 0.5, factor: [0.8, 1.2] },
  hue: { p: 0.5, shift: [-0.5, 0.5] },
  colorJitter: { p: 0.5, brightness: [0.8, 1.2], contrast: [0.8, 1.2], saturation: [0.8, 1.2], hue: [-0.1, 0.1] },
} satisfies { [Name in TransformName]-?: NonNullable<AugmentSettings[Name]> };

export const transformNames = Object.keys(everyTransform) as TransformName[];
