/** From nodes to dispatches: the vocabulary in which an op says what the GPU has to do. */
import type { DeviceTraits } from './device.js';
import type { Tensor } from './graph.js';
import { byteLength, type Dtype, type Layout, type Shape } from './layout.js';
import { texelBytes } from './texels.js';
import type { Arena } from './variables.js';
import type { Constants } from './wgsl.js';

/** Memory that only the dispatches of one node use. */
export class Scratch {
  constructor(
    readonly name: string,
    readonly bytes: number,
    readonly dtype: Dtype = 'f32',
  ) {}
}

export type Storage = Tensor | Scratch;

/** A storage, or consecutive bytes of it. */
export type Part = Storage | { readonly storage: Storage; readonly offset: number; readonly bytes: number };

/** What a shader's variable is bound to. Parts that are joined are read as texels, each from the beginning of a row on. */
export type Binding = Part | { readonly joined: readonly Part[] } | { readonly arena: Arena; readonly chunk: number };

/** Consecutive images of a batch. */
export interface ImageRange {
  readonly first: number;
  readonly count: number;
}

/** One dispatch, in the words of its shader file. */
export interface Dispatch {
  /** `shaders/NAME.wgsl`. */
  shader: string;
  /** Entry point; default `main`. */
  entry?: string;
  /** Baked in, and so part of the pipeline's key. */
  constants?: Constants;
  /** Values of the shader's `struct Params`, by field. */
  params?: Readonly<Record<string, number>>;
  /** By the shader's variable names. */
  bindings: Readonly<Record<string, Binding>>;
  /** Names of bindings that the shader, so specialised, declares as textures (`texels.ts`). */
  texels?: readonly string[];
  workgroups: readonly [number, number, number];
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** What an op's `lower` may use. */
export class Lowering {
  readonly dispatches: Dispatch[] = [];

  constructor(
    readonly traits: DeviceTraits,
    private readonly node: string,
  ) {}

  dispatch(dispatch: Dispatch): void {
    this.dispatches.push(dispatch);
  }

  /** Memory for values between two dispatches of this node. */
  scratch(name: string, shape: Shape, layout: Layout = 'image', dtype: Dtype = 'f32'): Scratch {
    return new Scratch(`${this.node}.${name}`, byteLength(shape, layout, dtype), dtype);
  }

  /**
   * Ranges of the batch such that each image tensor's part fits one storage binding; one range when everything fits.
   * All tensors are images with the same N.
   * @throws Error when a single image is larger than a binding
   */
  batches(...tensors: readonly Tensor[]): ImageRange[] {
    const { maxBindingBytes } = this.traits;
    const ranges = this.batchesOf(maxBindingBytes, ...tensors);
    if (ranges.length === 0) {
      throw new Error(
        `${this.node}: one image of ${tensors.join(', ')} does not fit a storage binding of ${maxBindingBytes} bytes ` +
          'on this adapter; use smaller images or a smaller width',
      );
    }
    return ranges;
  }

  /** Such ranges with parts of so many bytes at most; none where a single image has more. */
  batchesOf(bytes: number, ...tensors: readonly Tensor[]): ImageRange[] {
    const images = tensors[0].shape[0];
    let most = images;
    let step = 1;
    for (const tensor of tensors) {
      const each = tensor.bytes / images;
      const align = this.traits.storageOffsetAlignment / gcd(each, this.traits.storageOffsetAlignment);
      step = (step * align) / gcd(step, align);
      most = Math.min(most, Math.floor(bytes / each));
    }
    const count = most >= images ? images : Math.floor(most / step) * step;
    const ranges: ImageRange[] = [];
    for (let first = 0; count > 0 && first < images; first += count) {
      ranges.push({ first, count: Math.min(count, images - first) });
    }
    return ranges;
  }

  /** The part of an image tensor that holds a range of the batch. */
  images(tensor: Tensor, range: ImageRange): Part {
    if (range.count === tensor.shape[0]) return tensor;
    const bytes = tensor.bytes / tensor.shape[0];
    return { storage: tensor, offset: range.first * bytes, bytes: range.count * bytes };
  }

  /** Whether textures can stand in for all of these where they are read (`texels.ts`); the subgroup kernels ask. Texels are f32. */
  texels(...bindings: readonly Binding[]): boolean {
    const { kernels, maxTexelBytes } = this.traits;
    const fits = (binding: Binding): boolean => {
      if ('arena' in binding) return false;
      const parts = 'joined' in binding ? binding.joined : [binding];
      const dtypes = parts.map((part) => ('storage' in part ? part.storage.dtype : part.dtype));
      return dtypes.every((dtype) => dtype === 'f32') && texelBytes(...parts) <= maxTexelBytes;
    };
    return kernels === 'subgroup' && bindings.every(fits);
  }

  /**
   * Workgroups for a one-dimensional kernel over `count` items. More than 65535 of them continue in y, so the kernel takes
   * `global_invocation_id.x + global_invocation_id.y * num_workgroups.x * SIZE` and leaves when that is not below the count.
   */
  flat(count: number, workgroupSize = 64): [number, number, number] {
    const groups = Math.ceil(count / workgroupSize);
    const x = Math.min(groups, this.traits.maxWorkgroups);
    return [x, Math.ceil(groups / x), 1];
  }
}
