import {
  augmentationFloats,
  augmentationLayout,
  colourSteps,
  equalisedPlanes,
  type ImageStatistics,
  noStatistics,
  programSteps,
} from '../augmentation.js';
import type { DeviceTraits } from '../device.js';
import type { Op, Tensor } from '../graph.js';
import type { Binding, ImageRange, Lowering } from '../lowering.js';
import { overRows, rowsOf } from './rows.js';
import { checkImage } from './shapes.js';
import { sumRows } from './sumRows.js';

/** Red, green, blue. */
type Rgb = readonly [number, number, number];

/** What the network sees is (x - mean) / std, for x in 0 .. 1. */
export interface Normalisation {
  mean: Rgb;
  std: Rgb;
}

export interface AugmentOptions extends Normalisation {
  /** What the parameters' programs may ask for; default nothing. */
  statistics?: ImageStatistics;
  /** Values of the mask byte that are foreground, among 0, 1 (object) and 2 (border); default 1 and 2. */
  foreground?: readonly number[];
  /** Values of the mask byte whose pixels are left out of losses and counts; default none. */
  ignored?: readonly number[];
}

/**
 * Parts of an image that its mean is added up from: on a graphics card of so many pixels each; on a processor so few that one pass
 * adds them up, if there are images enough.
 */
const partsOf = ({ cpu }: DeviceTraits, images: number, area: number): number => {
  const most = Math.ceil(area / 16);
  return cpu ? Math.min(most, Math.max(32, Math.ceil(128 / images))) : most;
};
/** Levels of a histogram, and invocations of a workgroup that makes one. */
const LEVELS = 256;

/** What the kernel knows by name: the steps' numbers and where an image's parameters stand, in vec4f. */
const CONSTANTS = {
  ...Object.fromEntries(Object.entries(colourSteps).map(([name, number]) => [wgslName(name), number])),
  GREY_PLANE: equalisedPlanes.grey,
  FLOATS: augmentationFloats / 4,
  ELASTIC: augmentationLayout.elastic / 4,
  PROGRAM: augmentationLayout.program / 4,
  STEPS: programSteps,
};

const bitsOf = (values: readonly number[]): number => values.reduce((bits, value) => bits | (1 << value), 0);

function wgslName(name: string): string {
  return name.replace(/[A-Z]/g, '_$&').toUpperCase();
}

export const augmentImagesOp: Op<Required<AugmentOptions>> = {
  name: 'augmentImages',
  lower(node, to: Lowering) {
    const [pixels, parameters] = node.inputs;
    const [image, mask] = node.outputs;
    const [images, height, width] = pixels.shape;
    const { mean, std, statistics, foreground, ignored } = node.attributes;
    const area = height * width;
    const [tilesX, tilesY] = statistics.tiles ?? [0, 0];
    const { THREADS } = overRows(to, image, rowsOf(image.shape, images));
    const constants = { ...CONSTANTS, THREADS, MEANS: statistics.means > 0, TILES_X: tilesX, TILES_Y: tilesY };
    const params = {
      images,
      height,
      width,
      foreground: bitsOf(foreground),
      ignored: bitsOf(ignored),
      meanR: mean[0],
      meanG: mean[1],
      meanB: mean[2],
      stdR: std[0],
      stdG: std[1],
      stdB: std[2],
    };
    /** What a program reads; the kernels before the last fill it. */
    const shared: Record<string, Binding> = { parameters };
    /** A dispatch for each range of the batch that fits the bindings. */
    const overImages = (
      entry: string,
      bindings: (range: ImageRange) => Record<string, Binding>,
      workgroups: (count: number) => [number, number, number],
      { parts, slot } = { parts: 0, slot: 0 },
    ) => {
      for (const range of to.batches(image, mask, pixels)) {
        const { first, count } = range;
        to.dispatch({
          shader: 'augmentImages',
          entry,
          constants,
          params: { ...params, first, count, parts, slot },
          bindings: { ...shared, pixels: to.images(pixels, range), ...bindings(range) },
          workgroups: workgroups(count),
        });
      }
    };

    const means = to.scratch('means', [Math.max(statistics.means, 1) * images * 4], 'vector');
    if (statistics.means > 0) shared.means = means;
    if (statistics.tiles) {
      const tables = to.scratch('tables', [images * tilesX * tilesY * LEVELS], 'words');
      overImages(
        'equalise',
        () => ({ levels: tables }),
        (count) => [tilesX * tilesY, count, 1],
      );
      shared.tables = tables;
    }
    const parts = partsOf(to.traits, images, area);
    for (let slot = 0; slot < statistics.means; slot++) {
      const sums = to.scratch('sums', [images * parts * 4], 'vector');
      overImages(
        'mean',
        () => ({ sums }),
        (count) => to.flat(count * parts, THREADS),
        { parts, slot },
      );
      const rows = { sources: [{ binding: sums, rows: images }], length: parts };
      sumRows(to, rows, means, { scale: 1 / area, firstRow: slot * images });
    }
    overImages(
      'main',
      (range) => ({ image: to.images(image, range), mask: to.images(mask, range) }),
      (count) => overRows(to, image, rowsOf(image.shape, count)).workgroups,
    );
  },
};

/**
 * From packed photos to what the network sees, augmented: one geometry for photo and mask, then the colour steps of the
 * image's program, then normalisation. The photo is sampled bilinearly on bytes / 255, the mask at the nearest pixel.
 * The definition is `applyAugmentation` in `data/augmentReference.ts`. No gradient.
 *
 * Without statistics it is one dispatch; each mean costs two or three more, the equalisation one.
 *
 * @param pixels words [N, H, W]: bytes R, G, B, M from the lowest on, M 0, 1 or 2
 * @param parameters image [N, 88, 1, 1], laid out as `augmentationLayout` in `engine/augmentation.ts` says; their
 *   programs may not ask for more than `statistics` has
 * @returns image [N, 3, H, W], and mask [N, 1, H, W] of 0 and 1, and -1 where pixels are ignored
 * @throws Error when shapes do not fit, a standard deviation is not positive, there are more tiles than pixels, or a
 *   foreground or ignored value is no mask byte, or one is both
 */
export function augmentImages(
  pixels: Tensor,
  parameters: Tensor,
  { mean, std, statistics = noStatistics, foreground = [1, 2], ignored = [] }: AugmentOptions,
): { image: Tensor; mask: Tensor } {
  if (pixels.layout !== 'words' || pixels.shape.length !== 3) {
    throw new Error(`augmentImages: pixels ${pixels} (${pixels.layout}) have to be words [N, H, W]`);
  }
  checkImage('augmentImages', parameters);
  const [n, h, w] = pixels.shape;
  const needed = [n, augmentationFloats, 1, 1];
  if (parameters.shape.join() !== needed.join()) {
    throw new Error(
      `augmentImages: parameters ${parameters} do not fit pixels ${pixels}; [${needed.join(', ')}] needed`,
    );
  }
  if (!std.every((value) => value > 0)) throw new Error(`augmentImages: std ${std.join(', ')} has to be positive`);
  const { tiles } = statistics;
  if (tiles && !(tiles.every((count) => Number.isInteger(count) && count >= 1) && tiles[0] <= w && tiles[1] <= h)) {
    throw new Error(`augmentImages: ${tiles.join(' x ')} tiles do not fit images of ${w} x ${h} pixels`);
  }
  if (!foreground.every((value) => [0, 1, 2].includes(value))) {
    throw new Error(`augmentImages: foreground ${foreground.join(', ')} has to be among the mask bytes 0, 1 and 2`);
  }
  if (!ignored.every((value) => [0, 1, 2].includes(value) && !foreground.includes(value))) {
    const rule = 'has to be among the mask bytes 0, 1 and 2 and not in foreground';
    throw new Error(`augmentImages: ignored ${ignored.join(', ')} ${rule}`);
  }
  const outputs = [
    { shape: [n, 3, h, w], name: 'image' },
    { shape: [n, 1, h, w], name: 'mask' },
  ];
  const attributes = { mean, std, statistics, foreground, ignored };
  const [image, mask] = pixels.graph.record(augmentImagesOp, [pixels, parameters], outputs, attributes);
  return { image, mask };
}
