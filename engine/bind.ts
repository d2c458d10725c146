/** From arranged dispatches to what WebGPU takes: pipelines, buffers, textures and parameters bound together. */
import { type Arrangement, type Lowered, storagesOf } from './arrange.js';
import type { Device } from './device.js';
import type { Tensor } from './graph.js';
import { type Binding, Scratch, type Storage } from './lowering.js';
import type { Pipeline, PipelineRequest } from './pipelines.js';
import { createTexels, type TexelPlan, type TexelTransfer, texelTransfers } from './texels.js';
import { isHalf } from './wgsl.js';

/** Where storages lie; variables lie in their arenas. */
export interface Places {
  readonly of: Map<Storage, Place>;
  /** See `PlanOptions.values`. */
  readonly values: string | undefined;
}

export interface Place {
  buffer: GPUBuffer;
  offset: number;
  bytes: number;
}

export function placeOf(tensor: Tensor, places: Places): Place {
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
  if ('joined' in binding) throw new Error('what is joined can only be read as texels');
  const storage = 'storage' in binding ? binding.storage : binding;
  const place = storage instanceof Scratch ? places.of.get(storage)! : placeOf(storage, places);
  const part = 'storage' in binding ? binding : { offset: 0, bytes: place.bytes };
  return { buffer: place.buffer, offset: place.offset + part.offset, size: part.bytes };
}

export function requestOf(device: Device, dispatch: Lowered): PipelineRequest {
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
  const given = storagesOf(dispatch.bindings[name])[0]?.dtype ?? 'f32';
  if (reads === given) return;
  throw new Error(
    `${dispatch.node}: ${name} is ${given}, but shaders/${dispatch.shader}.wgsl takes ${reads} there; ` +
      `record a cast before ${dispatch.node}`,
  );
}

/** The textures of a plan, and who uses them. */
export function makeTexels(
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
    transfersBefore: (at: number): TexelTransfer[] =>
      copies
        .filter(({ from }) => from === at)
        .flatMap((copy) => {
          const memory = copy.parts.map(({ storage, offset, bytes }) => {
            const place = resolve(storage, places);
            return { buffer: place.buffer, offset: (place.offset ?? 0) + offset, bytes };
          });
          return texelTransfers(memory, textures[slotOf.get(copy)!]);
        }),
  };
}

/** Lays the parameter blocks of all dispatches into one uniform buffer; equal blocks share a place. */
export function packUniforms(
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

export function bind(
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
