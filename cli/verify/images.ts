/** The image cases: transforms of photo and mask, as the data layer or the augmentation kernel does them. */
import { augmentationLayout, colourOrders, identityAugmentation } from '../../data/augment.js';
import { resizeMask, resizePhoto } from '../../data/resize.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { augmentImages } from '../../engine/ops/augmentImages.js';
import { Plan } from '../../engine/plan.js';
import type { GoldenTensors } from './golden.js';
import { judge, type Verdict } from './judge.js';

type Rgb = [number, number, number];

/** A photo of height x width x RGB bytes, and a mask of height x width bytes where the case has one. */
interface Picture {
  height: number;
  width: number;
  pixels: Uint8Array;
  mask?: Uint8Array;
}

/** What comes out: `image` is height x width x RGB bytes, or 3 x height x width floats. */
interface Transformed {
  image: ArrayLike<number>;
  mask?: ArrayLike<number>;
}

/** Which form the reference has. */
type Form = 'bytes' | 'floats';

type ImageCase = (device: Device, picture: Picture, options: Record<string, any>, form: Form) => Promise<Transformed>;

const NONE: { mean: Rgb; std: Rgb } = { mean: [0, 0, 0], std: [1, 1, 1] };

const imageCases: Record<string, ImageCase> = {
  resize: async (_, { height, width, pixels, mask }, { library, size: [h, w] }) => {
    only(library, ['pil'], 'resize');
    return {
      image: resizePhoto({ height, width, pixels }, h, w).pixels,
      mask: mask && resizeMask(mask, height, width, h, w),
    };
  },
  hflip: (device, picture, _, form) => {
    const parameters = identityAugmentation();
    parameters.set([-1, 0, picture.width - 1, 0, 1, 0], augmentationLayout.affine);
    return augment(device, picture, parameters, form);
  },
  vflip: (device, picture, _, form) => {
    const parameters = identityAugmentation();
    parameters.set([1, 0, 0, 0, -1, picture.height - 1], augmentationLayout.affine);
    return augment(device, picture, parameters, form);
  },
  warp_affine: (device, picture, { matrix, border }, form) => {
    only(border, ['constant', 'reflect101'], 'warp_affine border');
    const parameters = identityAugmentation();
    parameters.set(inverse(matrix), augmentationLayout.affine);
    parameters[augmentationLayout.border] = border === 'reflect101' ? 1 : 0;
    return augment(device, picture, parameters, form);
  },
  brightness: (device, picture, options, form) => colour('brightness', device, picture, options, form),
  contrast: (device, picture, options, form) => colour('contrast', device, picture, options, form),
  saturation: (device, picture, options, form) => colour('saturation', device, picture, options, form),
  color_jitter: (device, picture, { library, order, hue, ...factors }, form) => {
    only(library, ['torch'], 'color_jitter');
    const place = colourOrders.findIndex((known) => known.join() === order.join());
    if (place < 0) throw new Error(`no color_jitter in the order ${order.join(', ')} yet; there is no hue`);
    const parameters = identityAugmentation();
    for (const step of colourOrders[place]) parameters[augmentationLayout[step]] = factors[step];
    parameters[augmentationLayout.order] = place;
    return augment(device, picture, parameters, form);
  },
  normalize: (device, picture, { mean, std }, form) =>
    augment(device, picture, identityAugmentation(), form, { mean, std }),
};

function only(given: unknown, known: readonly unknown[], what: string): void {
  if (!known.includes(given)) throw new Error(`no ${what} of ${given} yet; there is ${known.join(', ')}`);
}

function colour(
  step: 'brightness' | 'contrast' | 'saturation',
  device: Device,
  picture: Picture,
  { library, factor }: Record<string, any>,
  form: Form,
): Promise<Transformed> {
  only(library, ['torch'], step);
  const parameters = identityAugmentation();
  parameters[augmentationLayout[step]] = factor;
  return augment(device, picture, parameters, form);
}

/** The inverse of a 2x3 matrix of an affine map: from destination to source. */
function inverse([[a, b, c], [d, e, f]]: [Rgb, Rgb]): number[] {
  const det = a * e - b * d;
  return [e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det];
}

/** One picture through the kernel of the training step. */
async function augment(
  device: Device,
  { height, width, pixels, mask = new Uint8Array(height * width) }: Picture,
  parameters: Float32Array,
  form: Form,
  normalisation = NONE,
): Promise<Transformed> {
  // The kernel's masks have two classes.
  const object = mask.reduce((most, value) => Math.max(most, value), 0);
  if (mask.some((value) => value !== 0 && value !== object))
    throw new Error('no masks of more than two values here yet');
  const packed = new Uint8Array(height * width * 4);
  mask.forEach((value, i) => packed.set([...pixels.subarray(i * 3, i * 3 + 3), value], i * 4));

  const graph = new Graph();
  const words = graph.input('pixels', [1, height, width], 'words');
  const given = graph.input('parameters', [1, parameters.length, 1, 1]);
  const made = augmentImages(words, given, normalisation);
  const plan = await Plan.compile(device, graph, { outputs: [made.image, made.mask], poison: true });
  try {
    plan.write(words, packed);
    plan.write(given, parameters);
    plan.run();
    const [image, found] = await plan.read(made.image, made.mask);
    return { image: form === 'floats' ? image : toBytes(image), mask: found.map((value) => value * object) };
  } finally {
    plan.destroy();
  }
}

/** 3 x height x width in 0 .. 1 to height x width x 3 in 0 .. 255. */
function toBytes(image: Float32Array): Float32Array {
  const area = image.length / 3;
  return Float32Array.from(image, (_, i) => Math.round(image[(i % 3) * area + Math.floor(i / 3)] * 255));
}

/** @throws Error when the transform, or its convention, does not exist here */
export async function runImageCase(device: Device, golden: GoldenTensors): Promise<Verdict[]> {
  const { op, options } = golden.golden;
  if (!Object.hasOwn(imageCases, op))
    throw new Error(`no image op ${op} yet; known are ${Object.keys(imageCases).sort().join(', ')}`);
  const source = golden.get('in.image');
  if (source.dtype !== 'U8') throw new Error(`in.image is ${source.dtype}; photos are bytes here`);
  const [height, width] = source.shape;
  const picture: Picture = {
    height,
    width,
    pixels: source.data as Uint8Array,
    mask: golden.has('in.mask') ? (golden.get('in.mask').data as Uint8Array) : undefined,
  };
  const form = golden.has('out.image') && golden.get('out.image').dtype === 'F32' ? 'floats' : 'bytes';
  const result = await imageCases[op](device, picture, options, form);
  const got: Record<string, ArrayLike<number> | undefined> = { 'out.image': result.image, 'out.mask': result.mask };
  return golden.names
    .filter((name) => name.startsWith('out.'))
    .map((name) => judge(name, got[name] ?? [], golden.get(name).data, golden.ruleFor(name)));
}
