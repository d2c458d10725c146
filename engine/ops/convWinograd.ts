/**
 * Convolutions 3x3 of stride 1 as Winograd's F(2x2,3x3), on CPU adapters with texture loads: 16 products for 2x2 pixels and a pair of
 * channels where the direct sum has 36, between transforms of filter, input and output. `conv2dWinogradSubgroup.wgsl` has the figures.
 */
import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import type { Dispatch, ImageRange, Lowering, Part, Scratch } from '../lowering.js';
import { KEPT_BYTES, TEXEL_SHIFT } from '../texels.js';
import { type Geometry, is3x3 } from './convForms.js';

export const WINOGRAD = 'conv2dWinogradSubgroup';
const FILTER = 'winogradFilter';
const PATCHES = 'winogradPatches';

/** Patches of a workgroup: more share a load of the filter, and leave idle lanes on small maps. */
const TILE = 32;

/**
 * Bytes of transformed patches that are made before they are multiplied: more do not stay in the cache. 64->64 64x64 N=2 with 2, 4, 8
 * and 16 MiB, GFLOP/s: 117, 116, 111, 109; 32->32 128x128 N=4: 79, 82, 81, 73 (llvmpipe, 8 lanes, two cores of a Zen 4).
 */
const CHUNK_BYTES = 4 * 2 ** 20;

interface Operands {
  /** Whose channels follow each other. */
  maps: readonly Tensor[];
  /** Any filter layout with the maps' channels as reduction and y's as out. */
  w: Part;
  /** w is to be transposed, and its taps turned by 180 degrees: y's channels are its reduction, the maps' are out. */
  turned: boolean;
  bias?: Tensor;
  y: Tensor;
}

const quadsOf = (maps: readonly Tensor[]): number => maps.reduce((sum, { shape }) => sum + vec4s(shape[1]), 0);

/** Of a block of transformed patches. */
const blockBytesOf = (maps: readonly Tensor[]): number => TILE * 16 * quadsOf(maps) * 16;

/** What can be written, and read as texels. */
const bindable = ({ traits }: Lowering): number => Math.min(traits.maxBindingBytes, traits.maxTexelBytes);

const upTo = (step: number, value: number): number => Math.ceil(value / step) * step;

/** u, whose last block of channels is whole. */
function transformedFilter(to: Lowering, { maps, y }: Operands): Scratch {
  const channels = upTo(to.traits.subgroupSize, vec4s(y.shape[1])) * 4;
  return to.scratch('transformed filter', [channels, quadsOf(maps) * 4, 4, 4], 'filter');
}

/** Whether the convolution has these kernels. Maps of four channels at most have others. */
export function isWinograd(to: Lowering, geometry: Geometry, operands: Operands): boolean {
  const { maps, y } = operands;
  const { kernels, subgroupSize: lanes } = to.traits;
  if (kernels !== 'subgroup' || TILE % lanes !== 0 || !is3x3(geometry) || quadsOf(maps) < 2) return false;
  const made = [transformedFilter(to, operands).bytes, blockBytesOf(maps)];
  return (
    [...maps, y].every(({ dtype }) => dtype === 'f32') &&
    Math.max(...made) <= bindable(to) &&
    rangesOf(to, operands).length > 0
  );
}

/** Parts of the batch whose images stay in textures from one chunk to the next; none where an image is larger. */
const rangesOf = (to: Lowering, { maps, y }: Operands): ImageRange[] =>
  to.batchesOf(Math.min(KEPT_BYTES, bindable(to)), ...maps, y);

/**
 * Whether they take less than 0.95 of the direct kernel's time, estimated in the latter's multiply-adds. At 16 lanes, where spreading
 * what is loaded costs more, they win little (128->128 16x16 N=4: 1.08), which is left to a measured choice.
 * @param images of the maps
 */
export function winogradWins({ subgroupSize: lanes }: DeviceTraits, { maps, y }: Operands, images: number): boolean {
  const [, out, height, width] = y.shape;
  const patches = images * Math.ceil(height / 2) * Math.ceil(width / 2);
  const reduction = quadsOf(maps) * 4;
  const pairs = reduction * vec4s(out) * 4;
  // The output's transform takes as long as the products of eight channels.
  const products = 17.5 * (reduction + 8) * upTo(4 * lanes, out) * upTo(TILE, patches);
  const transforms = 400 * reduction * patches + 600 * pairs;
  const dispatches = 6e6;
  return lanes === 8 && products + transforms + dispatches < 0.95 * 36 * pairs * patches;
}

/** y = bias + convolution of the maps with w. */
export function convolveWinograd(to: Lowering, operands: Operands, { padding }: Geometry): void {
  const { maps, w, turned, bias, y } = operands;
  const lanes = to.traits.subgroupSize;
  const [inputQuads, outputQuads] = [quadsOf(maps), vec4s(y.shape[1])];
  const [, , outputHeight, outputWidth] = y.shape;
  const [patchesDown, patchesAcross] = [Math.ceil(outputHeight / 2), Math.ceil(outputWidth / 2)];
  const u = transformedFilter(to, operands);
  // Loads from buffers would take 3 s to compile where 36 stand one after the other, instead of 1.1; nine are not worth a copy.
  to.dispatch({
    shader: FILTER,
    constants: { LANES: lanes, TURNED: turned, TEXELS: turned ? TEXEL_SHIFT : 0 },
    params: { inputQuads, outputQuads },
    bindings: { w, u },
    texels: turned ? ['w'] : [],
    workgroups: to.flat(inputQuads * outputQuads * (turned ? 1 : 4), lanes),
  });

  const blockBytes = blockBytesOf(maps);
  const ranges = rangesOf(to, operands);
  const blocksOf = (images: number): number => Math.ceil((images * patchesDown * patchesAcross) / TILE);
  // A copy of u that is too large to be kept is made for each chunk.
  const chunkBytes = Math.min(Math.max(CHUNK_BYTES, u.bytes), bindable(to));
  const chunks = Math.ceil(blocksOf(ranges[0].count) / Math.floor(chunkBytes / blockBytes));
  const most = Math.ceil(blocksOf(ranges[0].count) / chunks);
  const v = to.scratch('transformed patches', [(most * blockBytes) / 4], 'vector');
  const constants = { LANES: lanes, TILE, TEXELS: TEXEL_SHIFT };
  const nowhere = to.scratch('no moments', [4], 'vector');
  let firstPart = 0;
  for (const range of ranges) {
    const blocks = blocksOf(range.count);
    for (let from = 0; from < blocks; from += most) {
      const count = Math.min(most, blocks - from);
      const shared = { batch: range.count, patchesDown, patchesAcross, first: from * TILE };
      let firstQuad = 0;
      for (const x of maps) {
        const quads = vec4s(x.shape[1]);
        to.dispatch({
          shader: PATCHES,
          constants,
          params: {
            ...shared,
            inputHeight: x.shape[2],
            inputWidth: x.shape[3],
            inputQuads: quads,
            firstQuad,
            allQuads: inputQuads,
            padTop: padding[0],
            padLeft: padding[1],
          },
          bindings: { x: to.images(x, range), v },
          texels: ['x'],
          workgroups: [(count * TILE) / lanes, 1, 1],
        });
        firstQuad += quads;
      }
      to.dispatch({
        shader: WINOGRAD,
        constants,
        params: {
          ...shared,
          inputQuads,
          outputHeight,
          outputWidth,
          outputQuads,
          firstPart,
          hasBias: Number(bias !== undefined),
          hasMoments: 0,
        },
        bindings: { v, u, bias: bias ?? w, y: to.images(y, range), moments: nowhere },
        texels: ['v', 'u'],
        workgroups: [Math.ceil(outputQuads / lanes), count, 1],
      });
      firstPart += count;
    }
  }
}

/** Has the dispatches write y's moments. */
export function giveMoments(dispatches: readonly Dispatch[], moments: Tensor): void {
  for (const dispatch of dispatches.filter(({ shader }) => shader === WINOGRAD)) {
    dispatch.params = { ...dispatch.params, hasMoments: 1 };
    dispatch.bindings = { ...dispatch.bindings, moments };
  }
}

/** The parts of y whose moments the dispatches give; undefined where they are not of this convolution alone. */
export function partsOfWinograd(dispatches: readonly Dispatch[]): number | undefined {
  if (!dispatches.every(({ shader }) => [FILTER, PATCHES, WINOGRAD].includes(shader))) return undefined;
  const products = dispatches.filter(({ shader }) => shader === WINOGRAD);
  return products.reduce((sum, { workgroups }) => sum + workgroups[1], 0);
}
