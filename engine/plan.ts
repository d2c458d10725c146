/**
 * A plan executes a graph: it fixes order, kernels and memory once, and replays them for every step with new data.
 * Training steps, evaluation steps and gradient tests are all plans.
 */
import type { Device } from './device.js';
import { fuseNodes } from './fuse.js';
import type { Graph, Node, Tensor } from './graph.js';
import { fromHalves, pack, unpack } from './layout.js';
import { type Binding, type Dispatch, Lowering, Scratch, type Storage } from './lowering.js';
import { assignSlots, type Lifetime, type MemoryReport, reportMemory } from './memory.js';
import { checkFinite, firstNonFinite, type NonFinite, type NumericsChecks } from './numerics.js';
import { useFirst } from './firstUse.js';
import type { Pipeline, PipelineRequest } from './pipelines.js';
import { recomputeNodes } from './recompute.js';
import { copyTexels, createTexels, planTexels, type TexelCopy, type TexelPlan } from './texels.js';
import { isHalf } from './wgsl.js';

export interface PlanOptions {
  /** What will be read after a step. Effects (optimizer, running statistics) are kept without being named. */
  outputs: readonly Tensor[];
  /** Fills every storage with NaN just before it is first written, so that a read of stale memory shows. For tests. */
  poison?: boolean;
  /** Counts what is not finite behind every op, for `firstNonFinite`. Costs about a second reading of all that is written. */
  checkNumerics?: boolean;
  /**
   * Merges ops that pass over the same memory (`fuse.ts`). Default true. `checkNumerics` looks behind every op, so nothing
   * is fused then.
   */
  fuse?: boolean;
  /** Computes cheap results again in the backward pass instead of keeping them (`recompute.ts`). Default false. */
  checkpointActivations?: boolean;
  /** Takes the variables' values from another set of arenas (`Variables.valuesOf`), such as `ema`. */
  values?: string;
}

interface Command {
  /** The recorded call that it belongs to; undefined for what checks and tests put in between. */
  source: Node | undefined;
  shader: string;
  pipeline: GPUComputePipeline;
  bindGroup: GPUBindGroup;
  workgroups: readonly [number, number, number];
  /** What this dispatch reads from textures. */
  texels: readonly string[];
  /** Textures to be filled before. */
  copies: readonly { from: Place; texture: GPUTexture }[];
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

interface Place {
  buffer: GPUBuffer;
  offset: number;
  bytes: number;
}

export interface Lowered extends Dispatch {
  node: string;
  source?: Node;
}

const STORAGE = () => GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;

/** Dispatches that are submitted before the others. */
const HEAD = 16;

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
    const pipelines = await Promise.all(requests.map((request) => device.pipelines.get(request)));
    if (device.traits.cpu) await useFirst(device, requests);
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
        pipeline: pipelines[i].pipeline,
        bindGroup: bind(device, dispatch, pipelines[i], places, uniforms[i], texels.viewsOf(dispatch)),
        workgroups: dispatch.workgroups,
        texels: dispatch.texels ?? [],
        copies: texels.copiesBefore(i),
      }));
      return new Plan(device, commands, places, owned, checks, memory, fused, recomputed, compileMs);
    });
  }

  get dispatchCount(): number {
    return this.commands.length;
  }

  /** What is dispatched, in order, for profiles. */
  get dispatches(): readonly Pick<Command, 'source' | 'shader' | 'texels'>[] {
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
    this.device.gpu.queue.writeBuffer(
      place.buffer,
      0,
      pack(input.shape, input.layout, values) as Float32Array<ArrayBuffer>,
    );
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
      const { pipeline, bindGroup, workgroups, copies } = this.commands[i];
      const time = timestamps?.(i);
      if (copies.length > 0) {
        pass?.end();
        pass = undefined;
        if (time) {
          const timestampWrites = { querySet: time.querySet, beginningOfPassWriteIndex: time.begin };
          encoder.beginComputePass({ timestampWrites }).end();
        }
        for (const { from, texture } of copies) copyTexels(encoder, from, texture);
      }
      pass ??= encoder.beginComputePass(
        time && {
          timestampWrites: {
            querySet: time.querySet,
            beginningOfPassWriteIndex: copies.length > 0 ? undefined : time.begin,
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

/** Nodes that an output or an effect depends on, in the order they were recorded. */
function neededNodes(graph: Graph, outputs: readonly Tensor[]): Node[] {
  const needed = new Set<Node>();
  const visit = (tensor: Tensor) => {
    if (tensor.producer) needed.add(tensor.producer);
  };
  outputs.forEach(visit);
  return graph.nodes
    .slice()
    .reverse()
    .filter((node) => {
      if (!node.op.effect && !needed.has(node)) return false;
      node.inputs.forEach(visit);
      return true;
    })
    .reverse();
}

/** What a plan is, but for the pipelines and the memory itself. */
interface Arrangement {
  dispatches: readonly Lowered[];
  lifetimes: readonly Lifetime[];
  slots: readonly number[];
  slotOf: ReadonlyMap<Lifetime, number>;
  texels: TexelPlan;
  /** Sizes of the textures, and each copy's texture. */
  textures: { slots: readonly number[]; slotOf: ReadonlyMap<TexelCopy, number> };
  checks: NumericsChecks | undefined;
  memory: MemoryReport;
  fused: Readonly<Record<string, number>>;
  recomputed: Readonly<Record<string, number>>;
}

function arrange(device: Device, graph: Graph, options: PlanOptions): Arrangement {
  const { outputs, poison, checkNumerics, fuse = device.traits.fuse, checkpointActivations } = options;
  const needed = neededNodes(graph, outputs);
  const { nodes: merged, fused } =
    fuse && !checkNumerics
      ? fuseNodes(needed, outputs, device.traits.storageOffsetAlignment)
      : { nodes: needed, fused: {} };
  const { nodes, recomputed } = checkpointActivations
    ? recomputeNodes(merged, outputs)
    : { nodes: merged, recomputed: {} };
  const groups = nodes.map((node) => lower(device, node));
  const checks = checkNumerics ? checkFinite(device, nodes, groups) : undefined;
  const lowered = checks?.dispatches ?? groups.flat();
  const lifetimes = findLifetimes(lowered, outputs).filter(({ storage }) => storage !== checks?.report);
  const dispatches = poison ? withPoison(device, lowered, lifetimes) : lowered;
  const { slots, slotOf } = assignSlots(lifetimes);
  const texels = planTexels(device.pipelines, dispatches);
  const textures = assignSlots(texels.copies);
  const inputs = graph.inputs.map(({ bytes }) => bytes);
  const memory = reportMemory(lifetimes, slots, slotOf, inputs, textures.slots);
  return { dispatches, lifetimes, slots, slotOf, texels, textures, checks, memory, fused, recomputed };
}

/** The memory that a plan will take, without making any of it and without compiling anything. */
export const planMemory = (device: Device, graph: Graph, options: PlanOptions): MemoryReport =>
  arrange(device, graph, options).memory;

function lower(device: Device, node: Node): Lowered[] {
  const to = new Lowering(device.traits, node.outputs[0]?.name ?? node.op.name);
  node.op.lower(node, to);
  return to.dispatches.map((dispatch) => ({ ...dispatch, node: node.op.name, source: node }));
}

/** The storage behind a binding, unless it is an arena's. */
function storageOf(binding: Binding): Storage | undefined {
  if ('arena' in binding) return undefined;
  return 'storage' in binding ? binding.storage : binding;
}

/** Whether the plan decides where a storage lives. */
const isTransient = (storage: Storage): boolean =>
  storage instanceof Scratch || (storage.producer !== undefined && !storage.gradientOf);

function findLifetimes(dispatches: readonly Lowered[], outputs: readonly Tensor[]): Lifetime[] {
  const lifetimes = new Map<Storage, Lifetime>();
  dispatches.forEach((dispatch, at) => {
    for (const binding of Object.values(dispatch.bindings)) {
      const storage = storageOf(binding);
      if (!storage || !isTransient(storage)) continue;
      const known = lifetimes.get(storage);
      if (known) known.to = at;
      else lifetimes.set(storage, { storage, bytes: storage.bytes, from: at, to: at });
    }
  });
  for (const output of outputs) {
    const lifetime = lifetimes.get(output);
    if (lifetime) lifetime.to = dispatches.length;
  }
  return [...lifetimes.values()];
}

/** Puts a fill with NaN in front of the first dispatch of each storage, and moves the lifetimes along. */
function withPoison(device: Device, dispatches: readonly Lowered[], lifetimes: Lifetime[]): Lowered[] {
  const out: Lowered[] = [];
  const movedTo: number[] = [];
  dispatches.forEach((dispatch, at) => {
    const first = out.length;
    for (const { storage, bytes } of lifetimes.filter((lifetime) => lifetime.from === at)) {
      const most = device.traits.maxBindingBytes;
      for (let offset = 0; offset < bytes; offset += most) {
        const part = Math.min(most, bytes - offset);
        out.push({
          node: 'poison',
          shader: 'fill',
          // NaN as one f32 and as two f16.
          params: { count: part / 4, bits: 0x7fc07fc0 },
          bindings: { x: { storage, offset, bytes: part } },
          workgroups: new Lowering(device.traits, 'poison').flat(part / 4),
        });
      }
    }
    movedTo[at] = out.length;
    for (const lifetime of lifetimes) if (lifetime.from === at) lifetime.from = -1 - first;
    out.push(dispatch);
  });
  movedTo[dispatches.length] = out.length;
  for (const lifetime of lifetimes) {
    lifetime.from = -1 - lifetime.from;
    lifetime.to = movedTo[lifetime.to];
  }
  return out;
}

function requestOf(device: Device, dispatch: Lowered): PipelineRequest {
  const { storage } = device.pipelines.interfaceOf(dispatch.shader);
  const names = Object.keys(dispatch.bindings).sort();
  const unknown = names.filter((name) => !storage.has(name));
  if (unknown.length > 0)
    throw new Error(`${dispatch.node}: shaders/${dispatch.shader}.wgsl declares no ${unknown.join(', ')}`);
  for (const name of names) checkElements(dispatch, name, storage.get(name)!.element);
  return {
    shader: dispatch.shader,
    entry: dispatch.entry ?? 'main',
    constants: dispatch.constants ?? {},
    storage: names,
    texels: dispatch.texels ?? [],
  };
}

/** @throws Error when a shader would take f16 for f32, or the other way round; what reads bits takes either */
function checkElements(dispatch: Lowered, name: string, element: string): void {
  const type = String(dispatch.constants?.[element] ?? element);
  if (!isHalf(type) && !/^(f32|vec\df)$/.test(type)) return;
  const reads = isHalf(type) ? 'f16' : 'f32';
  const given = storageOf(dispatch.bindings[name])?.dtype ?? 'f32';
  if (reads === given) return;
  throw new Error(
    `${dispatch.node}: ${name} is ${given}, but shaders/${dispatch.shader}.wgsl takes ${reads} there; ` +
      `record a cast before ${dispatch.node}`,
  );
}

/** Where storages lie; variables lie in their arenas. */
interface Places {
  readonly of: Map<Storage, Place>;
  /** See `PlanOptions.values`. */
  readonly values: string | undefined;
}

function placeOf(tensor: Tensor, places: Places): Place {
  const variable = tensor.variable ?? tensor.gradientOf;
  if (variable) {
    const { owner } = variable;
    const arena = tensor.variable ? owner.valuesOf(variable, places.values) : owner.arena('gradient');
    return { buffer: arena.chunks[variable.chunk], offset: variable.offset, bytes: tensor.bytes };
  }
  const place = places.of.get(tensor);
  if (!place) throw new Error(`${tensor} is not part of this plan; name it in the plan's outputs to read it`);
  return place;
}

function resolve(binding: Binding, places: Places): GPUBufferBinding {
  if ('arena' in binding) return { buffer: binding.arena.chunks[binding.chunk] };
  const storage = storageOf(binding)!;
  const place = storage instanceof Scratch ? places.of.get(storage)! : placeOf(storage, places);
  const part = 'storage' in binding ? binding : { offset: 0, bytes: place.bytes };
  return { buffer: place.buffer, offset: place.offset + part.offset, size: part.bytes };
}

/** The textures of a plan, and who uses them. */
function makeTexels(
  { gpu }: Device,
  { copies, of }: TexelPlan,
  { slots, slotOf }: Arrangement['textures'],
  places: Places,
) {
  const textures = slots.map((bytes, i) => createTexels(gpu, `texels ${i}`, bytes));
  const views = textures.map((texture) => texture.createView());
  return {
    textures,
    viewsOf: (dispatch: Lowered): ReadonlyMap<string, GPUTextureView> =>
      new Map([...(of.get(dispatch) ?? [])].map(([name, copy]) => [name, views[slotOf.get(copy)!]])),
    copiesBefore: (at: number) =>
      copies
        .filter(({ from }) => from === at)
        .map((copy) => {
          const { buffer, offset } = resolve(copy.storage, places);
          const from = { buffer, offset: (offset ?? 0) + copy.offset, bytes: copy.length };
          return { from, texture: textures[slotOf.get(copy)!] };
        }),
  };
}

/** Lays the parameter blocks of all dispatches into one uniform buffer; equal blocks share a place. */
function packUniforms(
  device: Device,
  dispatches: readonly Lowered[],
  own: (name: string, bytes: number, usage: GPUBufferUsageFlags) => GPUBuffer,
): (GPUBufferBinding | undefined)[] {
  const blocks = new Map<string, { index: number; words: Uint32Array }>();
  const keys = dispatches.map((dispatch) => {
    const { params } = device.pipelines.interfaceOf(dispatch.shader);
    if (params.length === 0) return undefined;
    const given = dispatch.params ?? {};
    const words = new DataView(new ArrayBuffer(Math.ceil(params.length / 4) * 16));
    params.forEach(({ name, type }, i) => {
      const value = given[name];
      if (value === undefined || !Number.isFinite(value)) {
        throw new Error(`${dispatch.node}: shaders/${dispatch.shader}.wgsl needs params.${name}, got ${value}`);
      }
      if (type === 'f32') words.setFloat32(i * 4, value, true);
      else if (type === 'u32') words.setUint32(i * 4, value, true);
      else words.setInt32(i * 4, value, true);
    });
    const extra = Object.keys(given).filter((name) => !params.some((param) => param.name === name));
    if (extra.length > 0)
      throw new Error(`${dispatch.node}: shaders/${dispatch.shader}.wgsl has no params.${extra.join(', ')}`);
    const block = new Uint32Array(words.buffer);
    const key = block.join();
    if (!blocks.has(key)) blocks.set(key, { index: blocks.size, words: block });
    return key;
  });
  if (blocks.size === 0) return keys.map(() => undefined);
  const longest = Math.max(...[...blocks.values()].map(({ words }) => words.byteLength));
  const step = Math.ceil(longest / device.traits.uniformOffsetAlignment) * device.traits.uniformOffsetAlignment;
  const buffer = own(
    'parameters of the dispatches',
    blocks.size * step,
    GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  );
  const bytes = new Uint32Array((blocks.size * step) / 4);
  for (const { index, words } of blocks.values()) bytes.set(words, (index * step) / 4);
  device.gpu.queue.writeBuffer(buffer, 0, bytes);
  return keys.map((key) => {
    if (key === undefined) return undefined;
    const { index, words } = blocks.get(key)!;
    return { buffer, offset: index * step, size: words.byteLength };
  });
}

function bind(
  device: Device,
  dispatch: Lowered,
  pipeline: Pipeline,
  places: Places,
  uniform: GPUBufferBinding | undefined,
  views: ReadonlyMap<string, GPUTextureView>,
): GPUBindGroup {
  const { storage } = device.pipelines.interfaceOf(dispatch.shader);
  const entries: GPUBindGroupEntry[] = Object.entries(dispatch.bindings).map(([name, binding]) => ({
    binding: storage.get(name)!.binding,
    resource: views.get(name) ?? resolve(binding, places),
  }));
  if (uniform) entries.push({ binding: 0, resource: uniform });
  return device.gpu.createBindGroup({ label: dispatch.node, layout: pipeline.layout, entries });
}
