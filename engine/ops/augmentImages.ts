import type { Op, Tensor } from '../graph.js';
import type { Lowering } from '../lowering.js';
import { checkImage } from './shapes.js';
import { overImages, sumRows } from './sumRows.js';

/** Red, green, blue. */
type Rgb = readonly [number, number, number];

/** What the network sees is (x - mean) / std, for x in 0 .. 1. */
export interface Normalisation {
  mean: Rgb;
  std: Rgb;
}

/** Pixels that one invocation of the contrast's grey mean takes. */
const GREY_RUN = 16;

export const augmentImagesOp: Op<Normalisation> = {
  name: 'augmentImages',
  lower(node, to: Lowering) {
    const [pixels, parameters] = node.inputs;
    const [image, mask] = node.outputs;
    const [images, height, width] = pixels.shape;
    const { mean, std } = node.attributes;
    const params = {
      height,
      width,
      meanR: mean[0],
      meanG: mean[1],
      meanB: mean[2],
      stdR: std[0],
      stdG: std[1],
      stdB: std[2],
    };

    const parts = Math.ceil((height * width) / GREY_RUN);
    const sums = to.scratch('grey', [images * parts * 4], 'vector');
    overImages(to, { shader: 'augmentImages', entry: 'grey', run: GREY_RUN }, { mask, pixels }, params, {
      parameters,
      sums,
    });
    const meanGrey = to.scratch('meanGrey', [images * 4], 'vector');
    const rows = { sources: [{ binding: sums, rows: images }], length: parts };
    sumRows(to, rows, meanGrey, { scale: 1 / (height * width) });
    overImages(to, { shader: 'augmentImages', entry: 'main', run: 1 }, { mask, image, pixels }, params, {
      parameters,
      meanGrey,
    });
  },
};

/**
 * From packed photos to what the network sees, augmented: one geometry for photo and mask, then colour, then
 * normalisation. The photo is sampled bilinearly on bytes / 255, the mask at the nearest pixel. The definition is
 * `applyAugmentation` in `data/augment.ts`. No gradient.
 *
 * @param pixels words [N, H, W]: bytes R, G, B, M from the lowest on, M not 0 where there is foreground
 * @param parameters image [N, 16, 1, 1], laid out as `augmentationLayout` in `data/augment.ts` says
 * @returns image [N, 3, H, W], and mask [N, 1, H, W] of 0 and 1
 * @throws Error when shapes do not fit or a standard deviation is not positive
 */
export function augmentImages(
  pixels: Tensor,
  parameters: Tensor,
  { mean, std }: Normalisation,
): { image: Tensor; mask: Tensor } {
  if (pixels.layout !== 'words' || pixels.shape.length !== 3) {
    throw new Error(`augmentImages: pixels ${pixels} (${pixels.layout}) have to be words [N, H, W]`);
  }
  checkImage('augmentImages', parameters);
  const [n, h, w] = pixels.shape;
  if (parameters.shape.join() !== [n, 16, 1, 1].join()) {
    throw new Error(`augmentImages: parameters ${parameters} do not fit pixels ${pixels}; [${n}, 16, 1, 1] needed`);
  }
  if (!std.every((value) => value > 0)) throw new Error(`augmentImages: std ${std.join(', ')} has to be positive`);
  const outputs = [
    { shape: [n, 3, h, w], name: 'image' },
    { shape: [n, 1, h, w], name: 'mask' },
  ];
  const [image, mask] = pixels.graph.record(augmentImagesOp, [pixels, parameters], outputs, { mean, std });
  return { image, mask };
}
