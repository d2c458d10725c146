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
  readonly chunks: GPUBuffer[];
}

export class Variables {
  private readonly all = new Map<string, Variable>();
  /** Values given before the memory exists. */
  private readonly initial = new Map<Variable, () => ArrayLike<number>>();
  private readonly sizes: Record<'parameters' | 'buffers', number[]> = { parameters: [], buffers: [] };
  private readonly arenas = new Map<string, Arena>();

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
        throw new Error(`variable ${name} is [${known.shape}] (${known.layout}); it cannot be [${shape}] (${layout}) as well`);
      }
      return known;
    }
    if (this.arenas.size > 0) throw new Error(`variable ${name}: declare every variable before the first plan is made`);
    checkShape(name, shape, layout);
    const bytes = byteLength(shape, layout);
    const { maxBindingBytes, storageOffsetAlignment } = this.device.traits;
    if (bytes > maxBindingBytes) {
      throw new Error(`variable ${name} takes ${bytes} bytes; a storage binding of this adapter holds ${maxBindingBytes}`);
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

  /** Number of trained numbers. */
  get parameterCount(): number {
    return this.parameters.reduce((sum, variable) => sum + elementCount(variable.shape), 0);
  }

  /** The arena with a variable's own values. */
  valuesOf(variable: Variable): Arena {
    return this.arena(variable.trainable ? 'parameters' : 'buffers');
  }

  /** An arena by name: `parameters`, `buffers`, or one number a parameter element under any other name, zero at first. */
  arena(name: string): Arena {
    let arena = this.arenas.get(name);
    if (!arena) {
      const sizes = this.sizes[name === 'buffers' ? 'buffers' : 'parameters'];
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
      arena = { name, chunks: sizes.map((size, i) => this.device.createBuffer(`${name}.${i}`, size, usage)) };
      this.arenas.set(name, arena);
      if (name === 'parameters' || name === 'buffers') this.upload(name);
    }
    return arena;
  }

  private upload(name: 'parameters' | 'buffers'): void {
    for (const [variable, values] of this.initial) {
      if (variable.trainable !== (name === 'parameters')) continue;
      this.set(variable, values());
      this.initial.delete(variable);
    }
  }

  /** Bytes of all arenas made so far. */
  get bytes(): number {
    return [...this.arenas.values()].flatMap((arena) => arena.chunks).reduce((sum, chunk) => sum + chunk.size, 0);
  }

  /** Writes a variable, or its place in another arena. Values in the plain order. */
  set(variable: Variable, values: ArrayLike<number>, arena?: Arena): void {
    if (values.length !== elementCount(variable.shape)) {
      throw new Error(`${variable.name}: ${values.length} values for shape [${variable.shape.join(', ')}]`);
    }
    if (!arena) {
      if (!this.arenas.has(variable.trainable ? 'parameters' : 'buffers')) {
        this.initial.set(variable, () => values);
        return;
      }
      arena = this.valuesOf(variable);
    }
    const packed = pack(variable.shape, variable.layout, values);
    this.device.gpu.queue.writeBuffer(arena.chunks[variable.chunk], variable.offset, packed);
  }

  /** Reads every variable of an arena, in the plain order, by name. */
  async read(arenaName: 'parameters' | 'buffers' | string): Promise<Map<string, Float32Array>> {
    const arena = this.arena(arenaName);
    const chunks = await this.device.read(arena.chunks.map((buffer) => ({ buffer, offset: 0, bytes: buffer.size })));
    const values = new Map<string, Float32Array>();
    for (const variable of this.all.values()) {
      if (variable.trainable === (arenaName === 'buffers')) continue;
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
    for (const arena of this.arenas.values()) arena.chunks.forEach((chunk) => chunk.destroy());
    this.arenas.clear();
  }
}
