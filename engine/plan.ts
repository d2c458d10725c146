/**
 * A plan executes a graph: it fixes order, kernels and memory once, and replays them for every step with new data.
 * Training steps, evaluation steps and gradient tests are all plans.
 */
import { arrange, type Arrangement, type PlanOptions, storagesOf } from './arrange.js';
import { bind, makeTexels, packUniforms, placeOf, type Places, requestOf } from './bind.js';
import { Commands, type Timestamps } from './commands.js';
import type { Device } from './device.js';
import { compileAll } from './firstUse.js';
import type { Graph, Node, Tensor } from './graph.js';
import { fromHalves, pack, toHalves, unpack } from './layout.js';
import type { Dispatch, Storage } from './lowering.js';
import type { MemoryReport } from './memory.js';
import { firstNonFinite, type NonFinite, type NumericsChecks } from './numerics.js';

/** What profiles show of a dispatch. */
interface Described {
  /** The recorded call that it belongs to; undefined for what checks and tests put in between. */
  source: Node | undefined;
  shader: string;
  /** What is baked into it. */
  constants: Dispatch['constants'];
  /** What it reads from textures. */
  texels: readonly string[];
}

interface RunOptions {
  /** Adds to the counts of `checkNumerics` instead of beginning anew: the runs before belong to this one. */
  goOn?: boolean;
  /** Called when the adapter has its first dispatches: it may write inputs that only later ones read. */
  meanwhile?: () => void;
  /** Where to write when each dispatch, with the copies that it needs, began and ended; each is then a pass of its own. */
  timestamps?: (dispatch: number) => Timestamps;
}

const STORAGE = () => GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;

/**
 * Dispatches that are submitted before the others, at most, and none behind a copy into a texture, which begins another pass: of a
 * net's step the photos' augmentation. It takes longer than submitting the rest (1.6 ms against 0.5 for 232 dispatches of a UNet's
 * training and 0.9 for 408 of a ResNet34-UNet's, llvmpipe), and 6 of them with a copy keep an idle adapter waiting 0.02 ms longer.
 */
const HEAD = 4;

/** What is submitted first: the number of dispatches, and what they read or write. */
interface Head {
  count: number;
  uses: ReadonlySet<Storage>;
}

function headOf({ dispatches, checks }: Arrangement, { beforeTransfers }: Commands): Head {
  // Checks look at all inputs before the first dispatch.
  const count = checks ? 0 : Math.min(HEAD, beforeTransfers);
  const bindings = dispatches.slice(0, count).flatMap((dispatch) => Object.values(dispatch.bindings));
  return { count, uses: new Set(bindings.flatMap(storagesOf)) };
}

export class Plan {
  /** When the adapter could begin with the last step, by `performance.now()`. */
  submittedAt = 0;
  /** The next step's commands. */
  private ahead?: readonly GPUCommandBuffer[];
  private runs = 0;
  /** The head of a step is submitted, and the rest is not. */
  private begun = false;

  private constructor(
    readonly device: Device,
    /** In order. */
    readonly dispatches: readonly Described[],
    private readonly commands: Commands,
    private readonly head: Head,
    private readonly places: Places,
    private readonly owned: readonly (GPUBuffer | GPUTexture)[],
    private readonly checks: NumericsChecks | undefined,
    readonly memory: MemoryReport,
    /** How many nodes of each kind stand for several that were recorded. */
    readonly fused: Readonly<Record<string, number>>,
    /** How often each op is called once more, for gradients. */
    readonly recomputed: Readonly<Record<string, number>>,
    /** Milliseconds spent compiling pipelines. */
    readonly compileMs: number,
  ) {}

  /** Makes the plan: dead nodes dropped, the others fused, nodes lowered in the order they were recorded, memory assigned, pipelines compiled. */
  static async compile(device: Device, graph: Graph, options: PlanOptions): Promise<Plan> {
    const arrangement = arrange(device, graph, options);
    const { dispatches, lifetimes, slots, slotOf, checks, memory, fused, recomputed } = arrangement;

    const start = performance.now();
    const requests = dispatches.map((dispatch) => requestOf(device, dispatch));
    const pipelines = await compileAll(device, requests);
    const compileMs = performance.now() - start;

    return device.checked('the plan', () => {
      const owned: (GPUBuffer | GPUTexture)[] = [];
      const places: Places = { of: new Map(), values: options.values };
      const own = (name: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer => {
        const buffer = device.createBuffer(name, bytes, usage);
        owned.push(buffer);
        return buffer;
      };
      const kept: Storage[] = checks ? [...graph.inputs, checks.report] : graph.inputs;
      for (const storage of kept) {
        const { bytes } = storage;
        places.of.set(storage, { buffer: own(storage.name, bytes, STORAGE()), offset: 0, bytes });
      }
      const buffers = slots.map((bytes, i) => own(`slot ${i}`, bytes, STORAGE()));
      for (const lifetime of lifetimes) {
        const slot = slotOf.get(lifetime)!;
        places.of.set(lifetime.storage, { buffer: buffers[slot], offset: 0, bytes: lifetime.bytes });
      }
      const texels = makeTexels(device, arrangement.texels, arrangement.textures, places);
      owned.push(...texels.textures);
      const uniforms = packUniforms(device, dispatches, own);
      const commands = new Commands(
        dispatches.map((dispatch, i) => ({
          pipeline: pipelines[i].pipeline,
          bindGroup: bind(device, dispatch, pipelines[i], places, uniforms[i], texels.viewsOf(dispatch)),
          workgroups: dispatch.workgroups,
          transfers: texels.transfersBefore(i),
        })),
      );
      const described = dispatches.map(({ source, shader, constants, texels = [] }) => ({
        source,
        shader,
        constants,
        texels,
      }));
      const head = headOf(arrangement, commands);
      return new Plan(device, described, commands, head, places, owned, checks, memory, fused, recomputed, compileMs);
    });
  }

  get dispatchCount(): number {
    return this.commands.count;
  }

  /**
   * Gives an input its value from the next step on. The values are copied at once and taken over behind what was submitted
   * before, so this does not wait for a step that is running (8 MB take 1 ms, llvmpipe).
   * @param values in the plain order (NCHW); for `words` the bytes as they are
   */
  write(input: Tensor, values: ArrayLike<number> | Uint8Array): void {
    const place = this.places.of.get(input);
    if (!place || input.producer || input.variable) throw new Error(`${input} is not an input of this plan`);
    if (this.begun && this.head.uses.has(input)) {
      throw new Error(`${input} is read by dispatches that are submitted already; write it before run`);
    }
    if (input.layout === 'words' && values instanceof Uint8Array) {
      if (values.byteLength !== place.bytes)
        throw new Error(`${input}: ${values.byteLength} bytes given, ${place.bytes} needed`);
      this.device.gpu.queue.writeBuffer(place.buffer, 0, values as Uint8Array<ArrayBuffer>);
      return;
    }
    const count = input.shape.reduce((product, size) => product * size, 1);
    if (values.length !== count) throw new Error(`${input}: ${values.length} values given, ${count} needed`);
    const packed = pack(input.shape, input.layout, values);
    const stored = input.dtype === 'f16' ? toHalves(packed) : packed;
    this.device.gpu.queue.writeBuffer(place.buffer, 0, stored as Float32Array<ArrayBuffer>);
  }

  /** Submits one step. */
  run(options: RunOptions = {}): void {
    this.device.check();
    const usual = !options.timestamps && !this.checks;
    const [head, rest] = (usual && this.ahead) || this.encode(options);
    if (usual) this.ahead = undefined;
    this.device.gpu.queue.submit([head]);
    this.submittedAt = performance.now();
    if (options.meanwhile) {
      this.begun = true;
      try {
        options.meanwhile();
      } finally {
        this.begun = false;
      }
    }
    this.device.gpu.queue.submit([rest]);
    // A command buffer can be submitted once. The next ones are encoded while the adapter works on these, and what changes from
    // step to step comes through buffers; a plan that has run twice will run again.
    if (usual && this.runs++ > 0) this.ahead = this.encode({});
  }

  /** Submitting takes time by the dispatch, so the adapter gets a few first and the rest while it works. */
  private encode({ goOn, timestamps }: RunOptions): readonly GPUCommandBuffer[] {
    const { commands, head, checks, device } = this;
    const encoders = [device.gpu.createCommandEncoder(), device.gpu.createCommandEncoder()];
    if (checks && !goOn) encoders[0].clearBuffer(this.places.of.get(checks.report)!.buffer);
    commands.encode(encoders[0], 0, head.count, timestamps);
    commands.encode(encoders[1], head.count, commands.count, timestamps);
    return encoders.map((encoder) => encoder.finish());
  }

  /** The values of outputs (or inputs) after the steps submitted so far, in the plain order. */
  async read<T extends readonly Tensor[]>(...tensors: T): Promise<{ [K in keyof T]: Float32Array }> {
    const parts = tensors.map((tensor) => ({
      ...placeOf(tensor, this.places),
      bytes: tensor.bytes,
    }));
    const copies = await this.device.read(parts);
    const values = tensors.map(({ shape, layout, dtype }, i) => {
      const numbers = dtype === 'f16' ? fromHalves(new Uint16Array(copies[i])) : new Float32Array(copies[i]);
      return unpack(shape, layout, numbers);
    });
    return values as { [K in keyof T]: Float32Array };
  }

  /**
   * The first op of what was submitted last with an output that is not finite; undefined when there is none.
   * @throws Error unless the plan was compiled with `checkNumerics`
   */
  async firstNonFinite(): Promise<NonFinite | undefined> {
    if (!this.checks) throw new Error('the plan was compiled without checkNumerics');
    const [copy] = await this.device.read([this.places.of.get(this.checks.report)!]);
    return firstNonFinite(this.checks, new Uint32Array(copy));
  }

  /** Frees the plan's memory; variables keep theirs. */
  destroy(): void {
    this.owned.forEach((made) => made.destroy());
  }
}
