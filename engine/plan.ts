/**
 * A plan executes a graph: it fixes order, kernels and memory once, and replays them for every step with new data.
 * Training steps, evaluation steps and gradient tests are all plans.
 */
import { arrange, type PlanOptions } from './arrange.js';
import { bind, makeTexels, packUniforms, placeOf, type Places, requestOf } from './bind.js';
import type { Device } from './device.js';
import { compileAll } from './firstUse.js';
import type { Graph, Node, Tensor } from './graph.js';
import { fromHalves, pack, toHalves, unpack } from './layout.js';
import type { Dispatch, Storage } from './lowering.js';
import type { MemoryReport } from './memory.js';
import { firstNonFinite, type NonFinite, type NumericsChecks } from './numerics.js';
import type { TexelTransfer } from './texels.js';

interface Command {
  /** The recorded call that it belongs to; undefined for what checks and tests put in between. */
  source: Node | undefined;
  shader: string;
  /** What is baked into it. */
  constants: Dispatch['constants'];
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
  workgroups: readonly [number, number, number];
  /** What this dispatch reads from textures. */
  texels: readonly string[];
  /** What fills textures before. */
  transfers: readonly TexelTransfer[];
}

/** Where a dispatch's begin and end are written. */
interface Timestamps {
  querySet: GPUQuerySet;
  begin: number;
  end: number;
}

interface RunOptions {
  goOn?: boolean;
  timestamps?: (dispatch: number) => Timestamps;
}

const STORAGE = () => GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;

/**
 * Dispatches that are submitted before the others: of a net's step the photos' augmentation and the first convolution, which take
 * longer than submitting the rest (0.4 ms for 285 dispatches, llvmpipe); 16 of them keep an idle adapter waiting 0.05 ms longer.
 */
const HEAD = 6;

export class Plan {
  /** When the adapter could begin with the last step, by `performance.now()`. */
  submittedAt = 0;
  /** The next step's commands. */
  private ahead?: readonly GPUCommandBuffer[];
  private runs = 0;

  private constructor(
    readonly device: Device,
    private readonly commands: readonly Command[],
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
      const commands = dispatches.map((dispatch, i) => ({
        source: dispatch.source,
        shader: dispatch.shader,
        constants: dispatch.constants,
        pipeline: pipelines[i].pipeline,
        bindGroup: bind(device, dispatch, pipelines[i], places, uniforms[i], texels.viewsOf(dispatch)),
        workgroups: dispatch.workgroups,
        texels: dispatch.texels ?? [],
        transfers: texels.transfersBefore(i),
      }));
      return new Plan(device, commands, places, owned, checks, memory, fused, recomputed, compileMs);
    });
  }

  get dispatchCount(): number {
    return this.commands.length;
  }

  /** What is dispatched, in order, for profiles. */
  get dispatches(): readonly Pick<Command, 'source' | 'shader' | 'constants' | 'texels'>[] {
    return this.commands;
  }

  /**
   * Gives an input its value from the next step on. The values are copied at once and taken over behind what was submitted
   * before, so this does not wait for a step that is running (8 MB take 1 ms, llvmpipe).
   * @param values in the plain order (NCHW); for `words` the bytes as they are
   */
  write(input: Tensor, values: ArrayLike<number> | Uint8Array): void {
    const place = this.places.of.get(input);
    if (!place || input.producer || input.variable) throw new Error(`${input} is not an input of this plan`);
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

  /**
   * Submits one step.
   * @param goOn adds to the counts of `checkNumerics` instead of beginning anew: the runs before belong to this one
   * @param timestamps where to write when each dispatch, with the copies that it needs, began and ended; each is then a pass of its own
   */
  run(options: RunOptions = {}): void {
    this.device.check();
    const usual = !options.timestamps && !this.checks;
    const [head, rest] = (usual && this.ahead) || this.encode(options);
    this.device.gpu.queue.submit([head]);
    this.submittedAt = performance.now();
    this.device.gpu.queue.submit([rest]);
    // A command buffer can be submitted once. The next ones are encoded while the adapter works on these, and what changes from
    // step to step comes through buffers; a plan that has run twice will run again.
    if (usual) this.ahead = this.runs++ > 0 ? this.encode({}) : undefined;
  }

  /** Submitting takes time by the dispatch, so the adapter gets a few first and the rest while it works. */
  private encode(options: RunOptions): GPUCommandBuffer[] {
    return [this.encodePart(0, HEAD, options), this.encodePart(HEAD, this.commands.length, { ...options, goOn: true })];
  }

  private encodePart(first: number, end: number, { goOn = false, timestamps }: RunOptions): GPUCommandBuffer {
    const encoder = this.device.gpu.createCommandEncoder();
    if (this.checks && !goOn) encoder.clearBuffer(this.places.of.get(this.checks.report)!.buffer);
    let pass: GPUComputePassEncoder | undefined;
    for (let i = first; i < Math.min(end, this.commands.length); i++) {
      const { pipeline, bindGroup, workgroups, transfers } = this.commands[i];
      const time = timestamps?.(i);
      if (transfers.length > 0) {
        pass?.end();
        pass = undefined;
        if (time) {
          const timestampWrites = { querySet: time.querySet, beginningOfPassWriteIndex: time.begin };
          encoder.beginComputePass({ timestampWrites }).end();
        }
        for (const transfer of transfers) encoder.copyBufferToTexture(...transfer);
      }
      pass ??= encoder.beginComputePass(
        time && {
          timestampWrites: {
            querySet: time.querySet,
            beginningOfPassWriteIndex: transfers.length > 0 ? undefined : time.begin,
            endOfPassWriteIndex: time.end,
          },
        },
      );
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
      if (timestamps) {
        pass.end();
        pass = undefined;
      }
    }
    pass?.end();
    return encoder.finish();
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
