/**
 * How a tensor's numbers lie in a GPU buffer. The public side (shapes, files, goldens) speaks NCHW and PyTorch's weight
 * orders; the GPU side keeps four channels in one vec4f, channels innermost, because kernels are paid by the load
 * (README, "Layout"). Channels that fill the last vec4f up are zeros, always: every kernel that writes a tensor writes them so.
 *
 * | layout             | shape            | element (of vec4f) |
 * |--------------------|------------------|--------------------|
 * | `image`            | (N, C, H, W)     | ((n*H + y)*W + x)*C4 + c4, four channels |
 * | `vector`           | (C)              | c4, four channels |
 * | `filter`           | (O, C, kh, kw)   | (c4*kh*kw + tap)*4*O4 + o, four input channels |
 * | `transposedFilter` | (C, O, kh, kw)   | the same, of a transposed convolution's weight |
 * | `words`            | any              | u32 as they are |
 *
 * With `--precision f16` the images of a net are stored as f16 (`Dtype`), a vec4h where the table has a vec4f. Kernels
 * compute in f32 either way: they convert what they load and what they store.
 */
export type Layout = 'image' | 'vector' | 'filter' | 'transposedFilter' | 'words';

export type Shape = readonly number[];

/** How an image's numbers are stored. In the nets vectors, filters and whatever the host writes are f32, words u32. */
export type Dtype = 'f32' | 'f16';

/** WGSL's name for four channels as they are stored: what a shader's `Quad` stands for. */
export const quadType = (dtype: Dtype): 'vec4f' | 'vec4h' => (dtype === 'f16' ? 'vec4h' : 'vec4f');

/** WGSL's name for one, two or four numbers as they are stored. */
export function vectorType(dtype: Dtype, width: 1 | 2 | 4): Dtype | 'vec2f' | 'vec2h' | 'vec4f' | 'vec4h' {
  if (width === 1) return dtype;
  return `vec${width}${dtype === 'f16' ? 'h' : 'f'}`;
}

/** Bytes of four channels. */
export const quadBytes = (dtype: Dtype): number => (dtype === 'f16' ? 8 : 16);

/** Number of vec4f that hold `channels` numbers. */
export const vec4s = (channels: number): number => Math.ceil(channels / 4);

export const elementCount = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);

const RANK: Record<Layout, number | undefined> = {
  image: 4,
  vector: 1,
  filter: 4,
  transposedFilter: 4,
  words: undefined,
};

/** @throws Error when the shape has another rank than the layout needs, or a size that is no positive integer */
export function checkShape(name: string, shape: Shape, layout: Layout): void {
  const rank = RANK[layout];
  if (rank !== undefined && shape.length !== rank) {
    throw new Error(`${name}: shape [${shape.join(', ')}] has ${shape.length} sizes; ${layout} needs ${rank}`);
  }
  if (shape.some((size) => !Number.isInteger(size) || size < 1)) {
    throw new Error(`${name}: shape [${shape.join(', ')}] needs positive whole sizes`);
  }
}

/** The sizes of a filter by role: `reduction` channels are summed over, `out` channels are produced. */
export function filterSizes(shape: Shape, layout: Layout): { out: number; reduction: number; taps: number } {
  const [a, b, kh, kw] = shape;
  return layout === 'transposedFilter'
    ? { reduction: a, out: b, taps: kh * kw }
    : { out: a, reduction: b, taps: kh * kw };
}

/** Bytes that the tensor takes on the GPU. */
export function byteLength(shape: Shape, layout: Layout, dtype: Dtype = 'f32'): number {
  switch (layout) {
    case 'image':
      return shape[0] * vec4s(shape[1]) * shape[2] * shape[3] * quadBytes(dtype);
    case 'vector':
      return vec4s(shape[0]) * quadBytes(dtype);
    case 'filter':
    case 'transposedFilter': {
      const { out, reduction, taps } = filterSizes(shape, layout);
      return vec4s(reduction) * taps * vec4s(out) * 4 * quadBytes(dtype);
    }
    case 'words':
      return elementCount(shape) * 4;
  }
}

/** Calls `visit(position in the plain order, position in the GPU's floats)` for every element. */
function eachElement(shape: Shape, layout: Layout, visit: (plain: number, packed: number) => void): void {
  if (layout === 'image') {
    const [n, c, h, w] = shape;
    const width = vec4s(c) * 4;
    let plain = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < c; j++) {
        for (let p = 0; p < h * w; p++) visit(plain++, (i * h * w + p) * width + j);
      }
    }
  } else if (layout === 'vector' || layout === 'words') {
    for (let i = 0; i < elementCount(shape); i++) visit(i, i);
  } else {
    const { out, reduction, taps } = filterSizes(shape, layout);
    const outWidth = vec4s(out) * 4;
    const [outStep, reductionStep] = layout === 'filter' ? [reduction * taps, taps] : [taps, out * taps];
    for (let r = 0; r < reduction; r++) {
      for (let t = 0; t < taps; t++) {
        for (let o = 0; o < out; o++) {
          visit(o * outStep + r * reductionStep + t, (((r >> 2) * taps + t) * outWidth + o) * 4 + (r & 3));
        }
      }
    }
  }
}

/**
 * From the plain order to the GPU's, pads zero; the values themselves where they lie so already, since even a small allocation
 * between steps took 0.1 ms.
 * @param values `elementCount(shape)` numbers
 */
export function pack(shape: Shape, layout: Layout, values: ArrayLike<number>): Float32Array | Uint32Array {
  const size = byteLength(shape, layout) / 4;
  const isLine = layout === 'vector' || (layout === 'image' && shape[2] * shape[3] === 1);
  if (isLine && values.length === size && values instanceof Float32Array) return values;
  const packed = layout === 'words' ? new Uint32Array(size) : new Float32Array(size);
  eachElement(shape, layout, (plain, at) => {
    packed[at] = values[plain];
  });
  return packed;
}

/** From the GPU's order to the plain one. */
export function unpack(shape: Shape, layout: Layout, packed: ArrayLike<number>): Float32Array {
  const values = new Float32Array(elementCount(shape));
  eachElement(shape, layout, (plain, at) => {
    values[plain] = packed[at];
  });
  return values;
}

/** f16 (IEEE 754 binary16) as a buffer holds them: the nearest numbers, of two that are equally near the even one. */
export function toHalves(values: ArrayLike<number>): Uint16Array {
  return Uint16Array.from(values, (value) => {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    const size = Math.abs(value);
    if (Number.isNaN(size)) return 0x7e00;
    // The first number that is nearer to infinity than to the largest one.
    if (size >= 65520) return sign | 0x7c00;
    const exponent = Math.max(Math.floor(Math.log2(size)), -14);
    const units = size / 2 ** (exponent - 10);
    const below = Math.floor(units);
    const up = units - below > 0.5 || (units - below === 0.5 && below % 2 === 1);
    // A normal number has 1024 units and more, which carry into the exponent.
    return sign | (((exponent + 14) << 10) + below + Number(up));
  });
}

/** The numbers in a buffer of f16 (IEEE 754 binary16). */
export function fromHalves(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, (bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}
