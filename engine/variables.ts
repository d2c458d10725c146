/** Values that live from step to step: parameters, running statistics, optimizer state. */
import type { Device } from './device.js';
import { byteLength, checkShape, elementCount, type Layout, pack, type Shape, unpack } from './layout.js';

export interface Variable {
  readonly owner: Variables;
  readonly name: string;
  readonly shape: Shape;
  readonly layout: Layout;
  /** Parameters are trained; the others are buffers, such as running statistics. */
  readonly trainable: boolean;
  /** Where it lies in every arena of its kind. */
  readonly chunk: number;
  readonly offset: number;
}

/**
 * Memory for one number a parameter element (its value, its gradient, a moment) or a buffer element. All arenas of a kind
 * have the same places, so that an optimizer runs over whole chunks without knowing single parameters. A chunk fits one
 * storage binding; the space between variables holds zeros.
 */
export interface Arena {
  readonly name: string;
  /** Sizes of the chunks; known before they are made. */
  readonly chunkBytes: readonly number[];
  /** Made when first asked for, so that a plan's memory can be known before any of it exists. */
  readonly chunks: readonly GPUBuffer[];
}

class OwnArena implements Arena {
  private made?: readonly GPUBuffer[];

  constructor(
    readonly name: string,
    readonly chunkBytes: readonly number[],
    private readonly make: () => readonly GPUBuffer[],
    private readonly fill: () => void,
  ) {}

  get exists(): boolean {
    return this.made !== undefined;
  }

  get chunks(): readonly GPUBuffer[] {
    if (!this.made) {
      this.made = this.make();
      this.fill();
    }
    return this.made;
  }
}

type Kind = 'parameters' | 'buffers';

/** What an arena has a number for: `buffers` and names that end in `.buffers` the buffers, all others the parameters. */
const kindOf = (arena: string): Kind => (arena === 'buffers' || arena.endsWith('.buffers') ? 'buffers' : 'parameters');

export class Variables {
  private readonly all = new Map<string, Variable>();
  /** Values given before the memory exists. */
  private readonly initial = new Map<Variable, () => ArrayLike<number>>();
  private readonly sizes: Record<Kind, number[]> = { parameters: [], buffers: [] };
  private readonly arenas = new Map<string, OwnArena>();

  constructor(readonly device: Device) {}

  /**
   * Declares a variable, or finds it when a second graph (evaluation, say) names it again.
   * @param initial its values in the plain order (NCHW, OIHW); called when memory is laid out, unless `set` came first
   * @throws Error when the name is known with another shape, or memory has been laid out already
   */
  declare(name: string, shape: Shape, layout: Layout, trainable: boolean, initial: () => ArrayLike<number>): Variable {
    const known = this.all.get(name);
    if (known) {
      if (known.shape.join() !== shape.join() || known.layout !== layout) {
        throw new Error(
          `variable ${name} is [${known.shape}] (${known.layout}); it cannot be [${shape}] (${layout}) as well`,
        );
      }
      return known;
    }
    if (this.existing.length > 0)
      throw new Error(`variable ${name}: declare every variable before the first plan is made`);
    checkShape(name, shape, layout);
    const bytes = byteLength(shape, layout);
    const { maxBindingBytes, storageOffsetAlignment } = this.device.traits;
    if (bytes > maxBindingBytes) {
      throw new Error(
        `variable ${name} takes ${bytes} bytes; a storage binding of this adapter holds ${maxBindingBytes}`,
      );
    }
    const sizes = this.sizes[trainable ? 'parameters' : 'buffers'];
    let chunk = sizes.length - 1;
    let offset = chunk < 0 ? 0 : Math.ceil(sizes[chunk] / storageOffsetAlignment) * storageOffsetAlignment;
    if (chunk < 0 || offset + bytes > maxBindingBytes) {
      chunk++;
      offset = 0;
    }
    sizes[chunk] = offset + bytes;
    const variable: Variable = { owner: this, name, shape, layout, trainable, chunk, offset };
    this.all.set(name, variable);
    this.initial.set(variable, initial);
    return variable;
  }

  /** Parameters in the order of their declaration. */
  get parameters(): Variable[] {
    return [...this.all.values()].filter((variable) => variable.trainable);
  }

  /** Parameters and buffers in the order of their declaration. */
  get list(): Variable[] {
    return [...this.all.values()];
  }

  /** The variables that have a place in the arena of this name. */
  inArena(name: string): Variable[] {
    return this.list.filter((variable) => variable.trainable === (kindOf(name) === 'parameters'));
  }

  /** Number of trained numbers. */
  get parameterCount(): number {
    return this.parameters.reduce((sum, variable) => sum + elementCount(variable.shape), 0);
  }

  /**
   * The arena with a variable's values: its own, or with `set` those of another set, such as `ema`, which has the
   * parameters in the arena of its name and the buffers in `NAME.buffers`.
   */
  valuesOf(variable: Variable, set?: string): Arena {
    if (set === undefined) return this.arena(variable.trainable ? 'parameters' : 'buffers');
    return this.arena(variable.trainable ? set : `${set}.buffers`);
  }

  /**
   * An arena by name: `parameters`, `buffers`, or under any other name one number a parameter element (a buffer element
   * where the name ends in `.buffers`), zero at first.
   */
  arena(name: string): Arena {
    let arena = this.arenas.get(name);
    if (!arena) {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
      const sizes = this.sizes[kindOf(name)];
      const make = () => sizes.map((size, i) => this.device.createBuffer(`${name}.${i}`, size, usage));
      arena = new OwnArena(name, sizes, make, () => {
        if (name === 'parameters' || name === 'buffers') this.upload(name);
      });
      this.arenas.set(name, arena);
    }
    return arena;
  }

  private get existing(): OwnArena[] {
    return [...this.arenas.values()].filter((arena) => arena.exists);
  }

  private upload(name: Kind): void {
    for (const [variable, values] of this.initial) {
      if (variable.trainable !== (name === 'parameters')) continue;
      this.set(variable, values());
      this.initial.delete(variable);
    }
  }

  /** Bytes of all arenas that somebody has asked for, made or not, and of the values themselves. */
  get plannedBytes(): number {
    const all = new Set([this.arena('parameters'), this.arena('buffers'), ...this.arenas.values()]);
    return [...all].flatMap((arena) => arena.chunkBytes).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Bytes of all arenas made so far. */
  get bytes(): number {
    return this.existing.flatMap((arena) => arena.chunks).reduce((sum, chunk) => sum + chunk.size, 0);
  }

  /** Writes a variable, or its place in another arena. Values in the plain order. */
  set(variable: Variable, values: ArrayLike<number>, arena?: Arena): void {
    if (values.length !== elementCount(variable.shape)) {
      throw new Error(`${variable.name}: ${values.length} values for shape [${variable.shape.join(', ')}]`);
    }
    if (!arena) {
      if (!this.arenas.get(variable.trainable ? 'parameters' : 'buffers')?.exists) {
        this.initial.set(variable, () => values);
        return;
      }
      arena = this.valuesOf(variable);
    }
    const packed = pack(variable.shape, variable.layout, values);
    this.device.gpu.queue.writeBuffer(arena.chunks[variable.chunk], variable.offset, packed);
  }

  /** Reads every variable of an arena, in the plain order, by name. */
  async read(arenaName: string): Promise<Map<string, Float32Array>> {
    const arena = this.arena(arenaName);
    const chunks = await this.device.read(arena.chunks.map((buffer) => ({ buffer, offset: 0, bytes: buffer.size })));
    const values = new Map<string, Float32Array>();
    for (const variable of this.inArena(arenaName)) {
      const bytes = byteLength(variable.shape, variable.layout);
      const packed = new Float32Array(chunks[variable.chunk], variable.offset, bytes / 4);
      values.set(variable.name, unpack(variable.shape, variable.layout, packed));
    }
    return values;
  }

  find(name: string): Variable | undefined {
    return this.all.get(name);
  }

  destroy(): void {
    for (const arena of this.existing) arena.chunks.forEach((chunk) => chunk.destroy());
    this.arenas.clear();
  }
}
