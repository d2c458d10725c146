/** The forms of the convolution kernels, and which of them an adapter gets: decided from shapes and adapter alone. */
import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { type Dtype, quadType, vec4s, vectorType } from '../layout.js';
import { TEXEL_SHIFT } from '../texels.js';
import type { Constants } from '../wgsl.js';

/** Rows, columns. */
export type Pair = readonly [number, number];

/**
 * One number for both axes, or [rows, columns].
 * @throws Error when it is neither, or below `least`
 */
export function pair(what: string, value: number | readonly number[], least: number): Pair {
  const both = typeof value === 'number' ? [value, value] : value;
  if (!Array.isArray(both) || both.length !== 2 || both.some((v) => !Number.isInteger(v) || v < least)) {
    const given = JSON.stringify(value);
    throw new Error(`${what} is ${given}; it has to be a whole number from ${least} up, or two: [rows, columns]`);
  }
  return [both[0], both[1]];
}

/** How output and input pixels of a convolution belong together. */
export interface Geometry {
  readonly kernel: Pair;
  readonly stride: Pair;
  /** May be negative, which crops. */
  readonly padding: Pair;
  /** The stride spreads the input's pixels instead of skipping some: conv2d's gradient for its input. */
  readonly transposed: boolean;
}

/** 3x3 with stride 1. */
export const is3x3 = ({ kernel, stride, transposed }: Geometry): boolean =>
  !transposed && kernel[0] === 3 && kernel[1] === 3 && stride[0] === 1 && stride[1] === 1;

/** Neighbouring numbers that a lane owns: the most that leave the fewest lanes idle. */
export function widthFor(slots: number, lanes: number): 1 | 2 | 4 {
  const paid = (width: number): number => Math.ceil(slots / (width * lanes)) * width;
  return ([4, 2, 1] as const).reduce((best, width) => (paid(width) < paid(best) ? width : best));
}

/** Types of the images' elements: x's by quads, the other's by as many numbers as a lane owns and one by one; and of these as they are computed with. */
export const storedAs = ({ dtype }: Tensor, width: 1 | 2 | 4 = 1) => ({
  Quad: quadType(dtype),
  Stored: vectorType(dtype, width),
  Number: dtype,
  Slots: vectorType('f32', width),
});

/** A kernel for certain shapes alone, which dispatches itself. */
export interface OwnForm {
  shader: string;
  constants: Constants;
  lower(): void;
}

/** Those that apply. */
export const ownForms = (...offers: readonly (readonly [applies: boolean, shader: string, lower: () => void])[]) =>
  offers.flatMap(([applies, shader, lower]): OwnForm[] => (applies ? [{ shader, constants: {}, lower }] : []));

/** What a measured choice may depend on besides geometry and sizes. */
export interface Operands {
  /** Whether textures can stand in for what is read. */
  texels?: boolean;
  dtype?: Dtype;
  /** Forms for these shapes alone; the rule prefers them to all others, the first of them most. */
  own?: readonly OwnForm[];
  /** Those that the rule would take next, for a measured choice, which tries the nearest first. */
  next?: readonly OwnForm[];
}

/** The rule's favourite, the first of these, unless the device is told another (`FormChooser`). */
function pick<F extends { shader: string; constants: Constants }>(
  { choose }: DeviceTraits,
  work: string,
  { own = [], next = [] }: Operands,
  others: readonly F[],
): F | OwnForm {
  const [first, ...rest] = [...own, ...others];
  const forms = [first, ...next, ...rest];
  if (!choose || forms.length === 1) return forms[0];
  const names = forms.map(({ shader, constants }) =>
    [shader, ...Object.entries(constants).map(([name, value]) => `${name}=${value}`)].join(' '),
  );
  return forms[choose(work, names) ?? 0];
}

/** Names a work by all that a measured choice may depend on. */
function nameWork(
  pass: string,
  sizes: string,
  geometry: Geometry,
  { texels, dtype = 'f32', own = [], next = [] }: Operands,
): string {
  const { kernel, stride, padding, transposed } = geometry;
  const words = [pass, sizes, ...[kernel, stride, padding].map((axes, i) => 'ksp'[i] + axes.join('x')), dtype];
  if (transposed) words.push('transposed');
  if (texels) words.push('texels');
  // Whether these are among the forms depends on more than sizes.
  return [...words, ...new Set([...own, ...next].map(({ shader }) => shader))].join(' ');
}

export interface ConvolveForm {
  shader: string;
  constants: Constants;
  /** Output pixels and channels of a workgroup; of the plain form, of a thread. */
  pixels: number;
  channels: number;
  /** Rows and columns of the pixels, where they are a tile. */
  tile?: Pair;
  /** Neighbouring output channels of a lane, where the form has a choice. */
  vector?: 1 | 2 | 4;
}

/**
 * The form of `convolve`, decided from shapes and adapter alone.
 * @param height, width, channels of the output, channels in whole vec4s
 * @param reduction channels of x, in whole vec4s; the rule does not depend on it, a measured choice does
 */
export function chooseConvolve(
  traits: DeviceTraits,
  geometry: Geometry,
  [batch, channels, height, width]: readonly number[],
  { reduction = channels, ...operands }: Operands & { reduction?: number } = {},
): ConvolveForm | OwnForm {
  const { texels = false } = operands;
  const work = nameWork('convolve', `N${batch} ${reduction}->${channels} ${height}x${width}`, geometry, operands);
  if (traits.kernels === 'plain') return { shader: 'conv2dPlain', constants: {}, pixels: 1, channels: 4 };
  // What matrix units are not for goes to the tiled kernels.
  if (traits.kernels === 'tiled' || traits.kernels === 'matrix') {
    // The larger tile has the better ratio of arithmetic to loads; the smaller one fills more of the adapter.
    const groups = Math.ceil((batch * height * width) / 64) * Math.ceil(channels / 64);
    const [large, small, ...others] = WORKGROUP_TILES;
    const tiles = groups >= 256 ? [large, small, ...others] : [small, large, ...others];
    const forms = tiles.map(([pixels, channels, THREAD_PIXELS, THREAD_CHANNELS]) => {
      const constants = { PIXELS: pixels, CHANNELS: channels, THREAD_PIXELS, THREAD_CHANNELS };
      return { shader: 'conv2dTiled', constants, pixels, channels };
    });
    return pick(traits, work, operands, forms);
  }
  const forms = subgroupForms(traits, geometry, [batch, channels, height, width], texels);
  return pick(traits, work, operands, forms);
}

/**
 * Tiles of the tiled form: pixels and channels of a workgroup, and of a thread. The rule takes one of the first two; the others, which
 * no graphics card has measured yet, are there to be measured. 128 and 64 are what 16 KiB of workgroup memory hold.
 */
const WORKGROUP_TILES = [
  [64, 64, 8, 8],
  [32, 32, 4, 4],
  [128, 64, 8, 8],
  [64, 128, 8, 8],
  [128, 32, 8, 4],
  [64, 32, 8, 4],
] as const;

/**
 * Register tiles of the 3x3 form: rows, columns, channels of a lane. At 8 lanes a row of taps at a time, since the code for all nine
 * does not stay in the instruction cache; at 16 an instruction does twice the work, and nine taps at once load less.
 */
const TILES_OF_8_LANES = [
  [4, 8, 2],
  [4, 8, 1],
  [4, 4, 4],
] as const;
// On 4x4 maps 4x4 pixels of four channels are 1.08 times as fast as the general form there, and a kernel more to compile.
const TILES = [
  [8, 8, 2],
  [8, 8, 1],
  [4, 8, 1],
] as const;
/** Pixels and channels of a lane of the general form. */
const RUNS = [
  [16, 4],
  [32, 4],
  [32, 2],
  [32, 1],
] as const;

/**
 * The forms by estimated cycles of the adapter, the least first: a multiply-add is one, a load that of so many, and a sum that is kept
 * in memory from one quad of channels to the next takes another one.
 */
function subgroupForms(
  { subgroupSize: lanes, maxWorkgroups }: DeviceTraits,
  geometry: Geometry,
  [batch, channels, height, width]: readonly number[],
  texels: boolean,
): ConvolveForm[] {
  const load = texels ? 16 : 110;
  const TEXELS = texels ? TEXEL_SHIFT : 0;
  const blocks = (vectors: number): number => Math.ceil(channels / (lanes * vectors));
  const forms: { cost: number; form: ConvolveForm }[] = [];
  for (const [pixels, vectors] of RUNS) {
    const size = Math.max(pixels, lanes);
    // From buffers the largest is slow at 8 lanes (36 GFLOP/s where 16 pixels have 48), and takes 4 s to compile at 16.
    if (size * vectors > 64 && !texels) continue;
    // For each quad of input channels and tap.
    const tile = size * vectors * (4 + 1) + load * (size / lanes + vectors);
    forms.push({
      cost: (9 * tile * (batch * height * width * blocks(vectors))) / size,
      form: {
        shader: 'conv2dSubgroup',
        constants: { LANES: lanes, PIXELS: size, VECTORS: vectors, TEXELS },
        pixels: size,
        channels: lanes * vectors,
        vector: vectors,
      },
    });
  }
  const [tiles, TAP_ROWS] = lanes === 8 ? [TILES_OF_8_LANES, 1] : [TILES, 3];
  for (const [rows, columns, vectors] of is3x3(geometry) ? tiles : []) {
    // Loads from buffers are so much code that a second vector loses (19.6 instead of 21.1 GFLOP/s at 8x8 pixels).
    if (vectors > 1 && !texels) continue;
    // From textures 4x8 pixels are as fast, and compiled in less than half the time (0.7 instead of 1.7 s at 16 lanes).
    if (lanes > 8 && vectors === 1 && (rows === 8) === texels) continue;
    const [down, across] = [Math.ceil(height / rows), Math.ceil(width / columns)];
    if (batch * down > maxWorkgroups) continue;
    const gathers = Math.ceil(((rows + TAP_ROWS - 1) * (columns + 2)) / lanes) + 3 * TAP_ROWS * vectors;
    // For each quad of input channels.
    const tile = (3 / TAP_ROWS) * (rows * columns * vectors * (12 * TAP_ROWS + 1) + load * gathers);
    forms.push({
      cost: tile * batch * down * across * blocks(vectors),
      form: {
        shader: 'conv2dSubgroup3x3',
        constants: {
          LANES: lanes,
          ROWS: rows,
          COLUMNS: columns,
          VECTORS: vectors,
          TAP_ROWS,
          BLOCK: TAP_ROWS === 1 ? 1 : rows,
          TEXELS,
        },
        pixels: rows * columns,
        channels: lanes * vectors,
        tile: [rows, columns],
        vector: vectors,
      },
    });
  }
  // Stable, so that the first of equals stays first.
  return forms.sort((a, b) => a.cost - b.cost).map(({ form }) => form);
}

/**
 * Pixels of a split of a 3x3 filter's gradient, at least: writing and adding its partial filter takes about as long as the products of
 * 30 pixels do. 64->64 N=4 at 8x8 and 16x16 take 0.8 of the time that they take with 64 and 256 pixels (llvmpipe, 16 lanes).
 */
const LEAST_PIXELS = 512;

export interface FilterGradientForm {
  shader: string;
  constants: Constants;
  /** Output channels and rows (tap and input quad) of a workgroup. */
  channels: number;
  rows: number;
  /** A split takes a multiple of `step` units of the sum, `least` or more. A unit is a pixel, or a column of pixels. */
  step: number;
  least: number;
  /** Output pixels of a column, where the units are columns. */
  columns?: number;
  /** Neighbouring output channels of a lane, where the form has a choice. */
  vector?: 1 | 2 | 4;
}

/**
 * The form of `filterGradient`, decided from shapes and adapter alone.
 * @param x, dy their sizes
 */
export function chooseFilterGradient(
  traits: DeviceTraits,
  geometry: Geometry,
  x: readonly number[],
  dy: readonly number[],
  operands: Operands = {},
): FilterGradientForm | OwnForm {
  const { texels = false } = operands;
  const work = nameWork('filterGradient', `${x.join('x')} ${dy.join('x')}`, geometry, operands);
  const { kernels, subgroupSize: lanes } = traits;
  const name = 'conv2dWeightGradient';
  if (kernels === 'plain') {
    return { shader: `${name}Plain`, constants: {}, channels: 1, rows: 1, step: 1, least: Infinity };
  }
  if (kernels === 'tiled' || kernels === 'matrix') {
    const tiled = { shader: `${name}Tiled`, constants: {}, channels: 64, rows: 16, step: 16, least: 256 };
    return pick(traits, work, operands, [tiled]);
  }
  const TEXELS = texels ? TEXEL_SHIFT : 0;
  const general = {
    shader: `${name}Subgroup`,
    constants: { LANES: lanes, ROWS: 4, TEXELS },
    channels: 4 * lanes,
    rows: 4,
    step: lanes,
    least: 64,
  };
  if (!is3x3(geometry)) return pick(traits, work, operands, [general]);
  const vector = widthFor(vec4s(dy[1]) * 4, lanes);
  // Fewer sums at 16 lanes, where 144 take 2 s to compile and 72 0.7; only lanes of four channels gain much by them.
  const inputs = lanes > 8 ? Math.max(1, 2 / vector) : 4 / vector;
  const [, , height] = dy;
  const ofColumns = (columns: number) => ({ step: 1, least: Math.ceil(LEAST_PIXELS / (height * columns)) });
  // A load of 16 lanes costs several of 8 lanes each; more columns share those of x, and halve what passes through the sums. A map of
  // 4 columns leaves half of them idle (128->128 4x4 N=4: 0.70 instead of 0.50 ms), and yet is not worth another kernel to compile.
  const special = texels
    ? (lanes > 8 ? [8, 4] : [4, 8]).map((columns) => ({
        shader: `${name}Texels3x3`,
        constants: { LANES: lanes, QUADS: inputs, VECTOR: vector, COLUMNS: columns, TEXELS },
        channels: vector * lanes,
        rows: inputs * 9,
        columns,
        vector,
        ...ofColumns(columns),
      }))
    : [
        {
          shader: `${name}Subgroup3x3`,
          constants: { LANES: lanes, QUADS: 2 },
          channels: lanes,
          rows: 2 * 9,
          columns: lanes - 2,
          ...ofColumns(lanes - 2),
        },
      ];
  return pick<FilterGradientForm>(traits, work, operands, [...special, general]);
}
