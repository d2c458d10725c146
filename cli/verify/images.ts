/**
 * The image cases: transforms of photo and mask, as the data layer or the augmentation kernel does them. Libraries
 * differ in what they call a rotation or a gamma; of each transform there is one form here (the table in
 * `data/augment.ts`), and the cases of the others are not offered.
 */
import { type Affine, boxParameters, flipColumns, flipRows, inverseAffine } from '../../data/augment.js';
import { trimapBytes } from '../../data/maskValues.js';
import { resizeMask, resizePhoto } from '../../data/resize.js';
import {
  augmentationLayout,
  colourSteps,
  equalisedPlanes,
  identityAugmentation,
  type ImageStatistics,
} from '../../engine/augmentation.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { augmentImages } from '../../engine/ops/augmentImages.js';
import { Plan } from '../../engine/plan.js';
import type { GoldenTensors } from './golden.js';
import { judge, NotOffered, type Verdict } from './judge.js';

type Rgb = [number, number, number];
type Size = [height: number, width: number];
// Options differ from op to op; each case reads its own.
type Options = Record<string, any>;
type Numbers = ArrayLike<number>;

/** height x width x (R, G, B) bytes, and a mask of height x width bytes where the case has one. */
interface Picture {
  height: number;
  width: number;
  pixels: Uint8Array;
  mask?: Uint8Array;
}

/** One picture for the kernel, and what it needs to know. */
interface Augmentation {
  picture: Picture;
  parameters: Float32Array;
  statistics?: ImageStatistics;
  normalisation?: { mean: Rgb; std: Rgb };
  foreground?: readonly number[];
}

/** How the kernel is called for a case; `size` is that of the result where it is not the picture's. */
type KernelCase = (picture: Picture, options: Options) => Omit<Augmentation, 'picture'> & { size?: Size };

const kernelCases: Record<string, KernelCase> = {
  resized_crop: ({ height, width }, { library, top, left, height: h, width: w, size }) => {
    only(library, ['pil'], 'resized_crop');
    if (h > size[0] || w > size[1]) {
      throw new NotOffered(`a crop of ${w} x ${h} to ${size[1]} x ${size[0]} shrinks it; crops are made larger only`);
    }
    const parameters = identityAugmentation();
    const frame = [Math.max(height, size[0]), Math.max(width, size[1])];
    const box = boxParameters(left, top, w, h, frame[0], frame[1]);
    // A frame of the kernel is as large as its picture; of this one the result is the upper left part.
    box.splice(4, 2, w / size[1], h / size[0]);
    parameters.set(box, augmentationLayout.box);
    return { parameters, size };
  },
  hflip: ({ width }) => ({ parameters: moved(flipColumns(width)) }),
  vflip: ({ height }) => ({ parameters: moved(flipRows(height)) }),
  rotate: ({ height, width }, { library, angle, filter, fill, expand }) => {
    only(library, ['torch'], 'rotate');
    only(filter, ['bilinear'], 'rotate filter');
    only(fill, [0], 'rotate fill');
    only(expand, [false], 'rotate expand');
    const transform = { degrees: -angle, translate: [0, 0], scale: 1 } as const;
    return { parameters: moved(inverseAffine(transform, height, width)) };
  },
  affine: ({ height, width }, { library, angle, translate, scale, shear, filter, fill }) => {
    only(library, ['torch'], 'affine');
    only(filter, ['bilinear'], 'affine filter');
    only(fill, [0], 'affine fill');
    return { parameters: moved(inverseAffine({ degrees: angle, translate, scale, shear }, height, width)) };
  },
  warp_affine: (_, { matrix, border, filter }) => {
    only(border, ['constant', 'reflect101'], 'warp_affine border');
    only(filter, ['bilinear'], 'warp_affine filter');
    const parameters = moved(inverse(matrix));
    parameters[augmentationLayout.border] = border === 'reflect101' ? 1 : 0;
    return { parameters };
  },
  brightness: (_, { library, factor }) => torchStep(library, 'brightness', factor),
  contrast: (_, { library, factor }) => torchStep(library, 'contrast', factor),
  saturation: (_, { library, factor }) => torchStep(library, 'saturation', factor),
  hue: (_, { library, factor }) => torchStep(library, 'hue', factor),
  gamma: (_, { library, gamma }) => torchStep(library, 'gamma', gamma),
  color_jitter: (_, { library, order, ...factors }) => {
    only(library, ['torch'], 'color_jitter');
    return program(...(order as string[]).map((step): Step => [stepNamed(step), factors[step]]));
  },
  clahe: (_, { library, clip_limit, tiles, channel }) => {
    only(library, ['opencv'], 'clahe');
    only(channel, ['gray', 'L of Lab'], 'clahe channel');
    const plane = channel === 'gray' ? equalisedPlanes.grey : equalisedPlanes.lightness;
    return { ...program(['clahe', clip_limit, plane]), statistics: { means: 0, tiles } };
  },
  channel_shuffle: (_, { order }) => program(['channelShuffle', ...(order as Rgb)]),
  brightness_contrast: (_, { library, contrast, brightness, by_max }) => {
    only(library, ['formula'], 'brightness_contrast');
    return program(['brightnessContrast', contrast, brightness, by_max ? -1 : 0]);
  },
  tone_curve: (_, { low, high }) => program(['toneCurve', low, high]),
  normalize: (_, { mean, std }) => ({ parameters: identityAugmentation(), normalisation: { mean, std } }),
};

function only(given: unknown, ours: readonly unknown[], what: string): void {
  if (!ours.includes(given)) throw new NotOffered(`${what} of the form ${given}; ours is ${ours.join(' or ')}`);
}

function moved(affine: Affine): Float32Array {
  const parameters = identityAugmentation();
  parameters.set(affine, augmentationLayout.affine);
  return parameters;
}

/** The inverse of a 2x3 matrix of an affine map: from destination to source. */
function inverse([[a, b, c], [d, e, f]]: [Rgb, Rgb]): Affine {
  const det = a * e - b * d;
  return [e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det];
}

type StepName = keyof typeof colourSteps;
type Step = [name: StepName, ...parameters: number[]];

function stepNamed(name: string): StepName {
  const known: readonly StepName[] = ['brightness', 'contrast', 'saturation', 'hue'];
  const found = known.find((step) => step === name);
  if (!found) throw new Error(`no color_jitter step ${name}; known are ${known.join(', ')}`);
  return found;
}

function torchStep(library: unknown, name: StepName, value: number): ReturnType<KernelCase> {
  only(library, ['torch'], name);
  return program([name, value]);
}

/** Steps in this order; a contrast takes its own mean. */
function program(...steps: Step[]): ReturnType<KernelCase> {
  const parameters = identityAugmentation();
  let means = steps.some(([name]) => name === 'brightnessContrast') ? 1 : 0;
  steps.forEach(([name, ...values], k) => {
    const slot = name === 'contrast' ? [means++] : [];
    parameters.set([colourSteps[name], ...values, ...slot], augmentationLayout.program + 4 * k);
  });
  return { parameters, statistics: { means } };
}

/** One picture through the kernel of the training step: 3 x height x width floats, and 0 or 1 for each mask byte. */
async function augment(
  device: Device,
  { picture, parameters, statistics, normalisation, foreground }: Augmentation,
): Promise<{ image: Float32Array; mask: Float32Array }> {
  const { height, width, pixels, mask } = picture;
  const packed = new Uint8Array(height * width * 4);
  for (let i = 0; i < height * width; i++) packed.set([...pixels.subarray(i * 3, i * 3 + 3), mask?.[i] ?? 0], i * 4);
  const graph = new Graph();
  const words = graph.input('pixels', [1, height, width], 'words');
  const given = graph.input('parameters', [1, parameters.length, 1, 1]);
  const unchanged = { mean: [0, 0, 0], std: [1, 1, 1] } as const;
  const made = augmentImages(words, given, { ...(normalisation ?? unchanged), statistics, foreground });
  const plan = await Plan.compile(device, graph, { outputs: [made.image, made.mask], poison: true });
  try {
    plan.write(words, packed);
    plan.write(given, parameters);
    plan.run();
    const [image, found] = await plan.read(made.image, made.mask);
    return { image, mask: found };
  } finally {
    plan.destroy();
  }
}

/** The upper left part of rows of a plane, or planes, of frame.width columns. */
function upperLeft(values: Float32Array, frame: Picture, [height, width]: Size): Float32Array {
  const planes = values.length / (frame.height * frame.width);
  const area = height * width;
  return Float32Array.from({ length: planes * area }, (_, i) => {
    const [plane, row, column] = [Math.floor(i / area), Math.floor((i % area) / width), i % width];
    return values[(plane * frame.height + row) * frame.width + column];
  });
}

/** The picture in the upper left corner of one of at least the given size, which is black beside it. */
function enlarge(picture: Picture, [height, width]: Size): Picture {
  if (picture.height >= height && picture.width >= width) return picture;
  const [h, w] = [Math.max(picture.height, height), Math.max(picture.width, width)];
  const pixels = new Uint8Array(h * w * 3);
  const mask = new Uint8Array(h * w);
  for (let row = 0; row < picture.height; row++) {
    const [from, to] = [row * picture.width, (row + 1) * picture.width];
    pixels.set(picture.pixels.subarray(from * 3, to * 3), row * w * 3);
    if (picture.mask) mask.set(picture.mask.subarray(from, to), row * w);
  }
  return { height: h, width: w, pixels, mask: picture.mask && mask };
}

/** A case of the kernel; masks may have any values, each of which is moved by itself. */
async function runKernelCase(device: Device, kernelCase: KernelCase, golden: GoldenTensors): Promise<Numbers[]> {
  const source = golden.get('in.image');
  if (source.dtype !== 'U8') throw new Error(`in.image is ${source.dtype}; photos are bytes here`);
  const [height, width, channels = 1] = source.shape;
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) =>
    channels === 1 ? source.data[Math.floor(i / 3)] : source.data[i],
  );
  const { size = [height, width], ...how } = kernelCase({ height, width, pixels }, golden.golden.options);
  const picture = enlarge({ height, width, pixels }, size);
  const { image } = await augment(device, { picture, ...how });
  const floats = upperLeft(image, picture, size);
  const results: Numbers[] = [];
  for (const name of outputs(golden)) {
    if (name === 'out.mask') {
      results.push(await moveMask(device, { height, width, pixels }, golden.get('in.mask').data, how, size));
    } else if (golden.get(name).dtype === 'F32') {
      results.push(floats);
    } else {
      const area = size[0] * size[1];
      // Bytes are height x width x channels.
      const count = area * channels;
      const at = (i: number) => floats[(i % channels) * area + Math.floor(i / channels)];
      results.push(Float32Array.from({ length: count }, (_, i) => Math.round(at(i) * 255)));
    }
  }
  return results;
}

/** The mask that the kernel makes of a mask of any values but 0: value by value. */
async function moveMask(
  device: Device,
  photo: Picture,
  values: Numbers,
  how: Omit<Augmentation, 'picture'>,
  size: Size,
): Promise<Float32Array> {
  const result = new Float32Array(size[0] * size[1]);
  for (const value of new Set(Array.from(values))) {
    if (value === 0) continue;
    const mask = Uint8Array.from(values, (one) => Number(one === value));
    const picture = enlarge({ ...photo, mask }, size);
    const found = upperLeft((await augment(device, { picture, ...how })).mask, picture, size);
    found.forEach((there, i) => (result[i] += value * there));
  }
  return result;
}

const outputs = (golden: GoldenTensors): string[] => golden.names.filter((name) => name.startsWith('out.'));

/** Cases that are not, or not only, the kernel's. Results are in the order of `outputs`. */
const otherCases: Record<string, (device: Device, golden: GoldenTensors) => Promise<Numbers[]>> = {
  async resize(_, golden) {
    const { library, filter, size } = golden.golden.options;
    only(library, ['pil'], 'resize');
    only(filter, ['bilinear'], 'resize filter');
    const source = golden.get('in.image');
    const [height, width] = source.shape;
    const photo = { height, width, pixels: source.data as Uint8Array };
    return outputs(golden).map((name) =>
      name === 'out.mask'
        ? resizeMask(golden.get('in.mask').data as Uint8Array, height, width, size[0], size[1])
        : resizePhoto(photo, size[0], size[1]).pixels,
    );
  },
  async trimap(device, golden) {
    const { object, background, border } = golden.golden.options;
    only([object, background, border].join(), ['1,2,3'], 'trimap (object, background, border)');
    const source = golden.get('in.trimap');
    const [height, width] = source.shape;
    const mask = Uint8Array.from(source.data, (value) => trimapBytes[value] ?? 0);
    const picture = { height, width, pixels: new Uint8Array(height * width * 3), mask };
    const meant: Record<string, readonly number[]> = {
      'out.object_and_border': [1, 2],
      'out.object': [1],
      'out.border': [2],
    };
    const results: Numbers[] = [];
    for (const name of outputs(golden)) {
      if (!Object.hasOwn(meant, name))
        throw new Error(`no trimap mask ${name}; known are ${Object.keys(meant).join()}`);
      const parameters = identityAugmentation();
      results.push((await augment(device, { picture, parameters, foreground: meant[name] })).mask);
    }
    return results;
  },
};

/**
 * @throws NotOffered when the case is of a form that is not ours
 * @throws Error when the transform does not exist here
 */
export async function runImageCase(device: Device, golden: GoldenTensors): Promise<Verdict[]> {
  const { op } = golden.golden;
  let results: Numbers[];
  if (Object.hasOwn(otherCases, op)) {
    results = await otherCases[op](device, golden);
  } else if (Object.hasOwn(kernelCases, op)) {
    results = await runKernelCase(device, kernelCases[op], golden);
  } else {
    const known = [...Object.keys(otherCases), ...Object.keys(kernelCases)].sort();
    throw new Error(`no image op ${op}; known are ${known.join(', ')}`);
  }
  return outputs(golden).map((name, i) => judge(name, results[i], golden.get(name).data, golden.ruleFor(name)));
}
