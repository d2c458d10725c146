/**
 * What conv2d and convTranspose2d share: four kernels, in the forms that `convForms.ts` chooses.
 *
 * | pass                   | conv2d                                              | convTranspose2d               |
 * |------------------------|-----------------------------------------------------|-------------------------------|
 * | forward                | convolve                                            | convolve, transposed          |
 * | gradient of the input  | transposeFilter, convolve (transposed when strided) | transposeFilter, convolve     |
 * | gradient of the filter | filterGradient, taps shift x                        | filterGradient, taps shift dy |
 * | gradient of the bias   | channelSum                                          | channelSum                    |
 *
 * Shapes with kernels of their own: `convHead.ts`, `convInside.ts`, `convStem.ts`, `convWinograd.ts`.
 */
import type { Tensor } from '../graph.js';
import { byteLength, filterSizes, vec4s } from '../layout.js';
import type { Binding, ImageRange, Lowering, Part, Scratch } from '../lowering.js';
import { texelBytes } from '../texels.js';
import {
  chooseConvolve,
  chooseFilterGradient,
  type ConvolveForm,
  type Geometry,
  type OwnForm,
  ownForms,
  storedAs,
} from './convForms.js';
import { convolveHead, headFilterGradient, isHead } from './convHead.js';
import { convolveInside, insideFilterGradient, isInside } from './convInside.js';
import { matrixFilterGradientForms, matrixForms } from './convMatrix.js';
import { convolveStem, isStem, stemFilterGradient } from './convStem.js';
import { convolveWinograd, isWinograd, WINOGRAD, winogradWins } from './convWinograd.js';
import { splitSum } from './splitSum.js';
import { stridedSum } from './stridedSum.js';

const quads = (image: Tensor): number => vec4s(image.shape[1]);

/**
 * Forms that add to what is there when asked to. The others store first and are added by another pass: loading y would make them
 * longer, and llvmpipe takes about a millisecond to compile each line of an unrolled tile.
 */
const ADDING = ['conv2dPlain', 'conv2dTiled'];

/** Forms that take two images at once, from one texture. */
const JOINING = ['conv2dSubgroup3x3', 'conv2dSubgroup'];

interface Convolved {
  x: Tensor;
  /** Its channels follow those of x. */
  second?: Tensor;
  /** Any filter layout with the images' channels as reduction and y's as out, or a `filterPart`. */
  w: Part;
  /** Where w is yet to be made of another filter. */
  turned?: Turned;
  bias?: Tensor;
  y: Tensor;
}

/** What a filter is the transposition of, its taps turned by 180 degrees or not. */
interface Turned {
  of: Part;
  flip: boolean;
  make(): void;
}

/** Whether `convolve` takes a second image: it is read as texels, behind the first one. */
export function canJoin(to: Lowering, { x, second, w, y }: Convolved & { second: Tensor }): boolean {
  const [range] = to.batches(x, second, y);
  return to.texels({ joined: [to.images(x, range), to.images(second, range)] }, w);
}

/**
 * y = bias + convolution of x, or of two images, with w.
 * @param more adds the convolution to y instead
 */
export function convolve(to: Lowering, operands: Convolved, geometry: Geometry, more = false): void {
  const { w, turned, y } = operands;
  const images = imagesOf(operands);
  const ranges = to.batches(...images, y);
  // What fits the first part of the batch, which is the largest, fits the others.
  const texels = to.texels({ joined: partsOf(to, images, ranges[0]) }, w);
  const form = formOf(to, operands, geometry, { count: ranges[0].count, texels, more });
  if (form.shader !== WINOGRAD) turned?.make();
  if ('lower' in form) return form.lower();
  for (const range of ranges) convolveRange(to, form, operands, geometry, { range, texels, more });
}

const imagesOf = ({ x, second }: Convolved): Tensor[] => (second ? [x, second] : [x]);

const partsOf = (to: Lowering, images: readonly Tensor[], range: ImageRange): Part[] =>
  images.map((image) => to.images(image, range));

/** Params of the forms for tiles of pixels, and those of the others, but for the batch's. */
function paramsOf({ x, bias, y }: Convolved, { kernel, stride, padding, transposed }: Geometry) {
  const tiled = {
    inputHeight: x.shape[2],
    inputWidth: x.shape[3],
    inputQuads: quads(x),
    outputHeight: y.shape[2],
    outputWidth: y.shape[3],
    outputQuads: quads(y),
    padTop: padding[0],
    padLeft: padding[1],
    hasBias: Number(bias !== undefined),
  };
  const general = {
    ...tiled,
    kernelHeight: kernel[0],
    kernelWidth: kernel[1],
    strideY: stride[0],
    strideX: stride[1],
    transposed: Number(transposed),
  };
  return { tiled, general };
}

/**
 * The form of a convolution: of those for its shapes alone and the general ones.
 * @param count images of the largest part of the batch
 */
function formOf(
  to: Lowering,
  operands: Convolved,
  geometry: Geometry,
  { count, texels, more }: { count: number; texels: boolean; more: boolean },
): ConvolveForm | OwnForm {
  const { traits } = to;
  const { x, second, w, turned, bias, y } = operands;
  // What takes a whole filter and stores y.
  const alone = more || second || 'storage' in w ? undefined : { x, w, bias, y };
  const { general } = paramsOf(operands, geometry);
  const own = alone
    ? ownForms(
        [isHead(traits, geometry, y), 'conv2dHead', () => convolveHead(to, alone)],
        [isInside(traits, geometry, x, y), 'conv2dInsideSubgroup', () => convolveInside(to, alone, geometry)],
        [isStem(traits, geometry, x), 'conv2dStemSubgroup', () => convolveStem(to, alone, geometry)],
      )
    : [];
  const [matrix, ...matrices] = matrixForms(to, { x, w, bias, y }, geometry, general, more);
  if (matrix) own.push(matrix);
  const maps = imagesOf(operands);
  // Winograd's form turns a filter as it transforms it.
  const transformed = { maps, w: turned?.of ?? w, turned: turned !== undefined, bias, y };
  const winograd = ownForms([
    !more && turned?.flip !== false && isWinograd(to, geometry, transformed),
    WINOGRAD,
    () => convolveWinograd(to, transformed, geometry),
  ]);
  const wins = winogradWins(traits, transformed, count);
  const [, , height, width] = y.shape;
  return chooseConvolve(traits, geometry, [count, quads(y) * 4, height, width], {
    texels,
    dtype: x.dtype,
    own: wins ? [...own, ...winograd] : own,
    next: wins ? matrices : [...matrices, ...winograd],
    reduction: maps.reduce((sum, map) => sum + quads(map) * 4, 0),
  });
}

/** Images of the batch by a general form. */
function convolveRange(
  to: Lowering,
  form: ConvolveForm,
  operands: Convolved,
  geometry: Geometry,
  { range, texels, more }: { range: ImageRange; texels: boolean; more: boolean },
): void {
  const { x, second, w, bias, y } = operands;
  const parts = partsOf(to, imagesOf(operands), range);
  const { tiled, general } = paramsOf(operands, geometry);
  const adds = ADDING.includes(form.shader);
  const joins = JOINING.includes(form.shader);
  const behind = { secondQuads: second ? quads(second) : 0, secondAt: second ? texelBytes(parts[0]) / 16 : 0 };
  const target = to.images(y, range);
  const shape = [range.count, ...y.shape.slice(1)];
  const summand = more && !adds ? to.scratch('summand', shape, 'image', y.dtype) : undefined;
  to.dispatch({
    shader: form.shader,
    constants: {
      ...form.constants,
      ...storedAs(x, form.vector),
      MOMENTS: false,
      ...(adds ? { ADD: more } : {}),
      ...(joins ? { JOINED: second !== undefined } : {}),
    },
    params: {
      batch: range.count,
      ...(form.tile ? tiled : general),
      ...(joins ? behind : {}),
    },
    bindings: { x: second ? { joined: parts } : parts[0], w, bias: bias ?? w, y: summand ?? target },
    texels: texels ? ['x', 'w'] : [],
    workgroups: workgroupsOf(to, form, y, geometry, range.count),
  });
  const count = range.count * y.shape[2] * y.shape[3] * quads(y);
  if (summand) stridedSum(to, summand, count, target, count, true, y.dtype, y.dtype);
}

/** Workgroups of a general form for so many images of y. */
function workgroupsOf(
  to: Lowering,
  form: ConvolveForm,
  y: Tensor,
  { stride, transposed }: Geometry,
  images: number,
): readonly [number, number, number] {
  const [, , height, width] = y.shape;
  if (form.shader === 'conv2dPlain') return to.flat(images * height * width * quads(y));
  const blocks = Math.ceil((quads(y) * 4) / form.channels);
  if (form.tile) return [Math.ceil(width / form.tile[1]), images * Math.ceil(height / form.tile[0]), blocks];
  // Transposed, each residue of the output's pixels by the stride is a phase; the first one has the most pixels.
  const [down, across] = transposed ? stride : [1, 1];
  const pixels = images * Math.ceil(height / down) * Math.ceil(width / across);
  const tiles = to.flat(pixels, form.pixels);
  return [tiles[0], tiles[1], blocks * down * across];
}

/** Consecutive input channels of a filter (O, C, kh, kw); `first` is a multiple of 4. */
export interface FilterPart {
  readonly first: number;
  readonly count: number;
}

/** Where the weights of some input channels lie: a filter's reduction is its outermost axis, so they lie together. */
export function filterPart(w: Tensor, { first, count }: FilterPart): Part {
  const [out, channels, ...kernel] = w.shape;
  if (first === 0 && count === channels) return w;
  const bytes = (reduction: number): number => byteLength([out, reduction, ...kernel], w.layout);
  return { storage: w, offset: first === 0 ? 0 : bytes(first), bytes: bytes(count) };
}

/**
 * The filter with reduction and out channels swapped, and its taps turned by 180 degrees if `flip`, for `convolve`. All filters of a net turned by
 * one dispatch in front of the backward pass gain nothing (UNet 14.6 instead of 14.7 images/s, ResNet34-UNet 33.0 and 33.0, with 24
 * and 52 dispatches less; llvmpipe, 16 lanes, two cores) and take 6 MiB more: turned just before it is used, a filter is in the cache.
 * @param w in either filter layout
 * @param part input channels of w that are wanted; all where it is not given
 */
export function transposeFilter(
  to: Lowering,
  w: Tensor,
  flip: boolean,
  part?: FilterPart,
): { w: Scratch; turned: Turned } {
  const { out, reduction: channels, taps } = filterSizes(w.shape, w.layout);
  const reduction = part?.count ?? channels;
  const y = to.scratch('transposed filter', [reduction, out, w.shape[2], w.shape[3]], 'filter');
  const of = part ? filterPart(w, part) : w;
  const make = () =>
    to.dispatch({
      shader: 'filterTranspose',
      params: { inputQuads: vec4s(reduction), outputQuads: vec4s(out), taps, flip: Number(flip) },
      bindings: { w: of, y },
      workgroups: to.flat(vec4s(out) * taps * vec4s(reduction)),
    });
  return { w: y, turned: { of, flip, make } };
}

/**
 * Gradient of the filter of a convolution from x to y, dy being the gradient of y. The long sum over pixels is split
 * over workgroups; the partial filters are then added in a fixed order.
 * @param dw any filter layout with x's channels as reduction and y's as out
 */
export function filterGradient(
  to: Lowering,
  { x, dy, dw }: { x: Tensor; dy: Tensor; dw: Binding },
  geometry: Geometry,
): void {
  const { kernel, padding, transposed } = geometry;
  const [, , height, width] = transposed ? x.shape : dy.shape;
  const general = {
    height,
    width,
    kernelHeight: kernel[0],
    kernelWidth: kernel[1],
    ...side('a', x, geometry, !transposed),
    ...side('b', dy, geometry, transposed),
  };
  const { traits } = to;
  const operands = { x, dy, dw };
  const inside = () => insideFilterGradient(to, operands, geometry);
  const stem = () => stemFilterGradient(to, operands, geometry);
  const own = ownForms(
    [isHead(traits, geometry, dy), 'conv2dHead', () => headFilterGradient(to, operands)],
    [isInside(traits, geometry, x, dy), 'conv2dInsideWeightGradientSubgroup', inside],
    [isStem(traits, geometry, x), 'conv2dStemWeightGradientSubgroup', stem],
  );
  const [matrix, ...next] = matrixFilterGradientForms(to, operands, geometry, general);
  if (matrix) own.push(matrix);
  const texels = to.batches(x, dy).every((range) => to.texels(to.images(x, range), to.images(dy, range)));
  const form = chooseFilterGradient(traits, geometry, x.shape, dy.shape, { texels, dtype: x.dtype, own, next });
  if ('lower' in form) return form.lower();
  const { columns } = form;
  const plain = form.shader === 'conv2dWeightGradientPlain';
  const taps = kernel[0] * kernel[1];
  const filterVec4s = quads(x) * taps * quads(dy) * 4;
  // Where the taps shift dy, all rows of a tile have to share a tap.
  const rowsPerTap = transposed ? Math.ceil(quads(x) / form.rows) * form.rows : quads(x);
  const across = Math.ceil((quads(dy) * 4) / form.channels);
  const down = columns ? Math.ceil(quads(x) / (form.rows / 9)) : Math.ceil((rowsPerTap * taps) / form.rows);

  const sum = {
    units: (images: number) => images * (columns ? Math.ceil(width / columns) : height * width),
    workgroups: across * down,
    step: form.step,
    least: form.least,
    bytes: filterVec4s * 16,
  };
  splitSum(to, dw, [x, dy], sum, ({ range, perSplit, splits, partial }) => {
    const a = to.images(x, range);
    const b = to.images(dy, range);
    const params: Record<string, number> = columns
      ? {
          inputHeight: x.shape[2],
          inputWidth: x.shape[3],
          inputQuads: quads(x),
          outputHeight: height,
          outputWidth: width,
          outputQuads: quads(dy),
          padTop: padding[0],
          padLeft: padding[1],
          columnsPerSplit: perSplit,
        }
      : { ...general, ...(plain ? {} : { rowsPerTap, pixelsPerSplit: perSplit }) };
    to.dispatch({
      shader: form.shader,
      constants: { ...form.constants, ...storedAs(x, form.vector) },
      params: { batch: range.count, ...params },
      bindings: columns ? { x: a, dy: b, dw: partial } : { a, b, dw: partial },
      texels: texels ? (columns ? ['x', 'dy'] : ['a', 'b']) : [],
      workgroups: plain ? to.flat(filterVec4s) : [across, down, splits],
    });
  });
}

/** One operand of a filter gradient: the one that the taps shift moves by the stride as well. */
function side(name: 'a' | 'b', image: Tensor, { stride, padding }: Geometry, shifted: boolean): Record<string, number> {
  return {
    [`${name}Height`]: image.shape[2],
    [`${name}Width`]: image.shape[3],
    [`${name}Quads`]: quads(image),
    [`${name}StrideY`]: shifted ? stride[0] : 1,
    [`${name}StrideX`]: shifted ? stride[1] : 1,
    [`${name}Tap`]: Number(shifted),
    [`${name}PadTop`]: shifted ? padding[0] : 0,
    [`${name}PadLeft`]: shifted ? padding[1] : 0,
  };
}
