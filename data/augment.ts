/**
 * Augmentation: its settings, and the drawing of an image's parameters from them. The kernel that applies them is
 * `engine/ops/augmentImages.ts`; what the parameters mean is said in `engine/augmentation.ts` and done, slowly and
 * obviously, in `augmentReference.ts`.
 *
 * Transforms are applied in the order of `AugmentSettings`: all of the geometry, composed into one map that moves photo
 * and mask alike, then colour on floats in 0 .. 1. For each there is one form, chosen for training:
 *
 * | transform | form |
 * |---|---|
 * | resize to the training size (in the cache) | PIL: antialiased, bytes after each pass; masks nearest |
 * | random resized crop | torchvision's choice of the box; bilinear within the box, masks as PIL's nearest |
 * | flips, rotation, affine, shift-scale-rotate | torchvision's matrices; bilinear, outside black or mirrored (cv2's reflect101) |
 * | elastic | U-Net paper: normal displacements at 3 x 3 nodes, bicubic between them |
 * | brightness, contrast, saturation, hue, colour jitter | torchvision on floats |
 * | gamma | x^g on floats |
 * | CLAHE | OpenCV on the 8-bit lightness of Lab (as albumentations has it); a and b stay unrounded |
 * | channel shuffle, tone curve | albumentations, on floats |
 * | brightness-contrast | albumentations' formula on floats |
 * | normalise | (x - mean) / std |
 */
import {
  augmentationFloats,
  augmentationLayout,
  colourSteps,
  equalisedPlanes,
  identityAugmentation,
  type ImageStatistics,
} from '../engine/augmentation.js';
import { Random } from '../engine/random.js';
import { checkObject, type Field, number, oneOf, optional, readFields, SettingsError } from '../engine/settings.js';

export { augmentationFloats, identityAugmentation };

export type Range = readonly [low: number, high: number];

/**
 * What may happen to a sample; a transform that is absent does not happen. `p` is its probability, every other number
 * is drawn uniformly from its range unless it says otherwise.
 */
export interface AugmentSettings {
  /** What lies outside of the photo: black background, or the photo mirrored. Default reflect101. */
  border?: 'constant' | 'reflect101';
  /** A box with `scale` of the photo's area and the ratio `ratio` of width to height (its logarithm is uniform). */
  randomResizedCrop?: { p: number; scale: Range; ratio: Range };
  horizontalFlip?: { p: number };
  verticalFlip?: { p: number };
  /** Degrees counter-clockwise about the centre. */
  rotation?: { p: number; degrees: Range };
  /**
   * About the centre, in degrees clockwise, after a shear of degrees along x; then a shift by up to `translate` (x, y)
   * of the photo's width and height to either side.
   */
  affine?: { p: number; degrees: Range; translate: Range; scale: Range; shear: Range };
  /** Shift in -shift .. shift of width and height, scale 1 + (-scale .. scale), -rotate .. rotate degrees. */
  shiftScaleRotate?: { p: number; shift: number; scale: number; rotate: number };
  /** Standard deviation of the displacements, in pixels of the training size; the paper has 10 at 512. */
  elastic?: { p: number; sigma: number };

  /** Exponent. */
  gamma?: { p: number; exponent: Range };
  /**
   * Contrast-limited adaptive histogram equalisation with `tiles` (x, y) of `channel`: the lightness, or the value of
   * grey photos.
   */
  clahe?: { p: number; clipLimit: Range; tiles: readonly [number, number]; channel: 'lightness' | 'grey' };
  channelShuffle?: { p: number };
  /** contrast * x + brightness * m, where m is 1, or the mean of the photo at that point. */
  brightnessContrast?: { p: number; brightness: Range; contrast: Range; by: 'max' | 'mean' };
  /** A curve through 0 and 1 bent by two values, normal about 1/4 and 3/4 with the standard deviation `scale`. */
  toneCurve?: { p: number; scale: number };
  /** Factors; 1 leaves the photo as it is. */
  brightness?: { p: number; factor: Range };
  contrast?: { p: number; factor: Range };
  saturation?: { p: number; factor: Range };
  /** In turns, -0.5 .. 0.5. */
  hue?: { p: number; shift: Range };
  /** Those that are given, in an order drawn anew for each sample. */
  colorJitter?: {
    p: number;
    brightness?: Range | null;
    contrast?: Range | null;
    saturation?: Range | null;
    hue?: Range | null;
  };
}

/** Report 3's augmentation. */
export const defaultAugmentation = {
  border: 'reflect101',
  horizontalFlip: { p: 0.5 },
  shiftScaleRotate: { p: 0.5, shift: 0.2, scale: 0.2, rotate: 15 },
  colorJitter: { p: 0.5, brightness: [0.8, 1.2], contrast: [0.8, 1.2], saturation: [0.8, 1.2] },
} satisfies AugmentSettings;

type TransformName = Exclude<keyof AugmentSettings, 'border'>;
type Options<Name extends TransformName> = NonNullable<AugmentSettings[Name]>;

// ---- Settings from a file

const inside = (value: unknown, low: number, high: number): boolean =>
  Number.isFinite(value) && (value as number) >= low && (value as number) <= high;

const pairOf = (value: unknown, accepts: (one: unknown) => boolean): value is Range =>
  Array.isArray(value) && value.length === 2 && value.every(accepts);

const numbers = (low: number, high: number) => (high === Infinity ? `from ${low} on` : `from ${low} to ${high}`);

const range = (low: number, high: number): Field<Range> => ({
  expected: `[low, high] with numbers ${numbers(low, high)}`,
  accepts: (value) => pairOf(value, (one) => inside(one, low, high)) && value[0] <= value[1],
  fallback: undefined,
});

const pair = (low: number, high: number, whole = false): Field<Range> => ({
  expected: `[x, y] with ${whole ? 'whole ' : ''}numbers ${numbers(low, high)}`,
  accepts: (value) => pairOf(value, (one) => inside(one, low, high) && (!whole || Number.isInteger(one))),
  fallback: undefined,
});

const between = (low: number, high: number): Field<number> => number(undefined, { low, high });

const p = between(0, 1);
/** What is divided by stays away from 0. */
const least = 1e-3;
const degrees = range(-360, 360);
const factor = range(0, Infinity);
const turns = range(-0.5, 0.5);

/** What each transform's settings have to be; the type keeps the list complete. */
const fields: { [Name in TransformName]: { [Key in keyof Required<Options<Name>>]: Field<unknown> } } = {
  randomResizedCrop: { p, scale: range(least, 1), ratio: range(least, 1 / least) },
  horizontalFlip: { p },
  verticalFlip: { p },
  rotation: { p, degrees },
  affine: { p, degrees, translate: pair(0, 1), scale: range(least, Infinity), shear: range(-80, 80) },
  shiftScaleRotate: { p, shift: between(0, 1), scale: between(0, 1 - least), rotate: between(0, 360) },
  elastic: { p, sigma: between(0, Infinity) },
  gamma: { p, exponent: range(least, Infinity) },
  clahe: {
    p,
    clipLimit: range(0, Infinity),
    tiles: pair(1, 64, true),
    channel: oneOf(['lightness', 'grey']),
  },
  channelShuffle: { p },
  brightnessContrast: { p, brightness: range(-1, 1), contrast: factor, by: oneOf(['max', 'mean']) },
  toneCurve: { p, scale: between(0, 1) },
  brightness: { p, factor },
  contrast: { p, factor },
  saturation: { p, factor },
  hue: { p, shift: turns },
  colorJitter: {
    p,
    brightness: optional(factor),
    contrast: optional(factor),
    saturation: optional(factor),
    hue: optional(turns),
  },
};

/**
 * Checks settings that come from a file.
 * @param key what messages call them
 * @throws SettingsError naming the first key that is unknown, missing or has a value that it cannot have
 */
export function checkAugmentation(value: unknown, key = 'augmentation'): AugmentSettings {
  checkObject(key, value);
  const { border, ...transforms } = value;
  const checked = Object.entries(transforms).map(([name, given]) => {
    if (!Object.hasOwn(fields, name)) {
      const known = ['border', ...Object.keys(fields)].join(', ');
      throw new SettingsError(`${key}.${name}: unknown key; known are ${known}`);
    }
    return [name, readFields(`${key}.${name}`, given, fields[name as TransformName])];
  });
  const frame = readFields(key, border === undefined ? {} : { border }, {
    border: oneOf(['constant', 'reflect101'], 'reflect101'),
  });
  return { ...frame, ...Object.fromEntries(checked) } as AugmentSettings;
}

/** What the programs of these settings need, so that a plan has it. */
export function augmentationStatistics(settings: AugmentSettings): ImageStatistics {
  const { clahe, brightnessContrast, contrast, colorJitter } = settings;
  const takeMeans = [brightnessContrast?.by === 'mean', contrast, colorJitter?.contrast];
  return { means: takeMeans.filter(Boolean).length, tiles: clahe?.tiles };
}

// ---- Drawing

/** The inverse map of a transform: from an output position to where it comes from (see `augmentationLayout.affine`). */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** What `inverseAffine` undoes: scale, shear along x, rotation clockwise about the centre, then a shift. */
interface AffineTransform {
  /** Clockwise. */
  degrees: number;
  /** Pixels to the right and down. */
  translate: readonly [number, number];
  scale: number;
  /** Degrees along x and along y. */
  shear?: readonly [number, number];
}

/** Source: torchvision `_get_inverse_affine_matrix`, about the centre of the pixels' grid. */
export function inverseAffine(transform: AffineTransform, height: number, width: number): Affine {
  const { translate, scale, shear = [0, 0] } = transform;
  const [angle, shearX, shearY] = [transform.degrees, ...shear].map((value) => (value * Math.PI) / 180);
  const a = Math.cos(angle - shearY) / Math.cos(shearY);
  const b = -a * Math.tan(shearX) - Math.sin(angle);
  const c = Math.sin(angle - shearY) / Math.cos(shearY);
  const d = -c * Math.tan(shearX) + Math.cos(angle);
  const centre = [(width - 1) / 2, (height - 1) / 2];
  const [tx, ty] = [centre[0] + translate[0], centre[1] + translate[1]];
  const [ia, ib, id, ie] = [d, -b, -c, a].map((value) => value / scale);
  return [ia, ib, centre[0] - ia * tx - ib * ty, id, ie, centre[1] - id * tx - ie * ty];
}

/** Where `outer`'s source lies under `inner`, for `inner` applied to the photo before `outer`. */
function compose(inner: Affine, outer: Affine): Affine {
  const [a, b, c, d, e, f] = inner;
  const [g, h, i, j, k, l] = outer;
  return [a * g + b * j, a * h + b * k, a * i + b * l + c, d * g + e * j, d * h + e * k, d * i + e * l + f];
}

export const flipColumns = (width: number): Affine => [-1, 0, width - 1, 0, 1, 0];
export const flipRows = (height: number): Affine => [1, 0, 0, 0, -1, height - 1];

/** A sample's parameters as they come about. */
class Draft {
  readonly parameters = identityAugmentation();
  private affine: Affine = [1, 0, 0, 0, 1, 0];
  private steps = 0;
  private slots = 0;

  constructor(
    readonly height: number,
    readonly width: number,
  ) {}

  move(inverse: Affine): void {
    this.affine = compose(this.affine, inverse);
    this.parameters.set(this.affine, augmentationLayout.affine);
  }

  /** Shows the part of the photo that begins at `left` and `top` in the frame of the whole. */
  crop(left: number, top: number, width: number, height: number): void {
    this.parameters.set(boxParameters(left, top, width, height, this.height, this.width), augmentationLayout.box);
  }

  /** A colour step; see `colourSteps`. */
  colour(step: keyof typeof colourSteps, ...parameters: number[]): void {
    this.parameters.set([colourSteps[step], ...parameters], augmentationLayout.program + 4 * this.steps++);
  }

  /** The next place for a mean. */
  slot(): number {
    return this.slots++;
  }
}

/** `box` and `boxScale` of a crop that fills a frame of frameHeight x frameWidth. */
export function boxParameters(
  left: number,
  top: number,
  width: number,
  height: number,
  frameHeight: number,
  frameWidth: number,
): number[] {
  return [left, top, left + width, top + height, width / frameWidth, height / frameHeight];
}

/** torchvision `RandomResizedCrop.get_params`: ten attempts at a box within the photo, then the largest in the middle. */
function drawCrop(draft: Draft, { scale, ratio }: Options<'randomResizedCrop'>, random: Random): void {
  const { width: W, height: H } = draft;
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = W * H * random.uniform(...scale);
    const aspect = Math.exp(random.uniform(Math.log(ratio[0]), Math.log(ratio[1])));
    const width = Math.round(Math.sqrt(area * aspect));
    const height = Math.round(Math.sqrt(area / aspect));
    if (width < 1 || height < 1 || width > W || height > H) continue;
    const top = random.integer(H - height + 1);
    draft.crop(random.integer(W - width + 1), top, width, height);
    return;
  }
  const aspect = Math.min(Math.max(W / H, ratio[0]), ratio[1]);
  const width = Math.max(1, Math.min(W, Math.round(H * aspect)));
  const height = Math.max(1, Math.min(H, Math.round(W / aspect)));
  draft.crop(Math.floor((W - width) / 2), Math.floor((H - height) / 2), width, height);
}

const clamp01 = (value: number): number => Math.min(1, Math.max(0, value));

/** How each transform draws its numbers, in the order of application; the type keeps the list complete. */
const draws: { [Name in TransformName]: (draft: Draft, options: Options<Name>, random: Random) => void } = {
  randomResizedCrop: drawCrop,
  horizontalFlip: (draft) => draft.move(flipColumns(draft.width)),
  verticalFlip: (draft) => draft.move(flipRows(draft.height)),
  rotation(draft, options, random) {
    const transform = { degrees: -random.uniform(...options.degrees), translate: [0, 0], scale: 1 } as const;
    draft.move(inverseAffine(transform, draft.height, draft.width));
  },
  affine(draft, { degrees, translate, scale, shear }, random) {
    const transform = {
      degrees: random.uniform(...degrees),
      translate: [
        random.uniform(-translate[0], translate[0]) * draft.width,
        random.uniform(-translate[1], translate[1]) * draft.height,
      ],
      scale: random.uniform(...scale),
      shear: [random.uniform(...shear), 0],
    } as const;
    draft.move(inverseAffine(transform, draft.height, draft.width));
  },
  shiftScaleRotate(draft, { shift, scale, rotate }, random) {
    const transform = {
      degrees: random.uniform(-rotate, rotate),
      scale: 1 + random.uniform(-scale, scale),
      translate: [random.uniform(-shift, shift) * draft.width, random.uniform(-shift, shift) * draft.height],
    } as const;
    draft.move(inverseAffine(transform, draft.height, draft.width));
  },
  elastic({ parameters }, { sigma }, random) {
    const displacements = Array.from({ length: 18 }, () => sigma * random.normal());
    parameters.set(displacements, augmentationLayout.elastic);
    parameters[augmentationLayout.elasticOn] = 1;
  },
  gamma: (draft, { exponent }, random) => draft.colour('gamma', random.uniform(...exponent)),
  clahe: (draft, { clipLimit, channel }, random) =>
    draft.colour('clahe', random.uniform(...clipLimit), equalisedPlanes[channel]),
  channelShuffle: (draft, _, random) => draft.colour('channelShuffle', ...random.shuffle([0, 1, 2])),
  brightnessContrast(draft, { brightness, contrast, by }, random) {
    const [offset, factor] = [random.uniform(...brightness), random.uniform(...contrast)];
    draft.colour('brightnessContrast', factor, offset, by === 'mean' ? draft.slot() : -1);
  },
  toneCurve(draft, { scale }, random) {
    draft.colour('toneCurve', ...[0.25, 0.75].map((middle) => clamp01(middle + scale * random.normal())));
  },
  brightness: (draft, options, random) => draft.colour('brightness', random.uniform(...options.factor)),
  contrast: (draft, options, random) => draft.colour('contrast', random.uniform(...options.factor), draft.slot()),
  saturation: (draft, options, random) => draft.colour('saturation', random.uniform(...options.factor)),
  hue: (draft, { shift }, random) => draft.colour('hue', random.uniform(...shift)),
  colorJitter(draft, { brightness, contrast, saturation, hue }, random) {
    const given = Object.entries({ brightness, contrast, saturation, hue }).filter((entry) => entry[1]) as [
      'brightness' | 'contrast' | 'saturation' | 'hue',
      Range,
    ][];
    for (const [step, values] of random.shuffle(given)) {
      draft.colour(step, random.uniform(...values), ...(step === 'contrast' ? [draft.slot()] : []));
    }
  },
};

/**
 * Draws the parameters of one sample in one epoch. They depend on the arguments alone, so neither batch size nor the
 * order of asking changes them; and each transform has its own random numbers, so that changing one does not change
 * what the others do.
 */
export function sampleAugmentation(
  settings: AugmentSettings,
  seed: number,
  epoch: number,
  sampleIndex: number,
  height: number,
  width: number,
): Float32Array<ArrayBuffer> {
  const draft = new Draft(height, width);
  const drawOne = <Name extends TransformName>(name: Name) => {
    const options = settings[name] as Options<Name> | undefined;
    if (!options) return;
    const random = new Random('augment', name, seed, epoch, sampleIndex);
    if (random.uniform() < options.p) draws[name](draft, options, random);
  };
  (Object.keys(draws) as TransformName[]).forEach(drawOne);
  draft.parameters[augmentationLayout.border] = settings.border === 'constant' ? 0 : 1;
  return draft.parameters;
}
