/**
 * Texture loads. What is paid on a software adapter is the load: llvmpipe turns a load from a storage buffer into a branch, a
 * bounds check and an insert for each lane and component, about 110 cycles for a vec4f in 8 lanes; the same from a read-only
 * storage texture takes about 15 (from a sampled texture 50, from a uniform buffer no less). So a dispatch may name bindings
 * that its shader declares by `#texels`; the plan copies the memory behind them into a texture first, in rows of
 * TEXEL_WIDTH vec4f, which costs a copy loop's time (60 us for 2 MiB). conv2d 3x3 64->64 64x64 N=2 on llvmpipe (Mesa 25.0.7, 8 lanes,
 * two threads of a 2.5 GHz Xeon), GFLOP/s: 24 from buffers, 33 from sampled textures, 44 from storage textures.
 */
import type { Binding, Part, Storage } from './lowering.js';
import type { Span } from './memory.js';
import type { PipelineCache } from './pipelines.js';
import type { Lowered } from './arrange.js';

/** Shaders take element i from (i & (TEXEL_WIDTH - 1), i >> TEXEL_SHIFT); the shift is baked in as their constant TEXELS. */
export const TEXEL_SHIFT = 12;
export const TEXEL_WIDTH = 1 << TEXEL_SHIFT;
const ROW_BYTES = TEXEL_WIDTH * 16;

export const texelRows = (bytes: number): number => Math.ceil(bytes / ROW_BYTES);

/** What parts take that lie behind each other, each in whole rows. */
export const texelBytes = (...parts: readonly { readonly bytes: number }[]): number =>
  parts.reduce((sum, { bytes }) => sum + texelRows(bytes), 0) * ROW_BYTES;

/** A texture's contents: filled in front of dispatch `from`, last read by dispatch `to`. `bytes` are the texture's. */
export interface TexelCopy extends Span {
  /** The memory that is copied. */
  readonly parts: readonly { readonly storage: Storage; readonly offset: number; readonly bytes: number }[];
}

export interface TexelPlan {
  copies: TexelCopy[];
  /** Each dispatch's copies by binding; nothing for dispatches without. */
  of: Map<Lowered, Map<string, TexelCopy>>;
}

/**
 * A copy is kept for readers at most so many dispatches later: both gradients of a convolution share dy's, but no texture waits from
 * the forward pass for the backward pass.
 */
const KEPT_FOR = 8;

/** Larger copies are for one dispatch alone: the parts of a large batch would all lie in textures at once. */
export const KEPT_BYTES = 32 * 2 ** 20;

/** Which copies the dispatches need: none twice while the memory behind it stays as it is. */
export function planTexels(pipelines: PipelineCache, dispatches: readonly Lowered[]): TexelPlan {
  const plan: TexelPlan = { copies: [], of: new Map() };
  let live: TexelCopy[] = [];
  dispatches.forEach((dispatch, at) => {
    const own = new Map<string, TexelCopy>();
    for (const name of dispatch.texels ?? []) {
      const parts = partsOf(dispatch.bindings[name]);
      let copy = live.find((other) => isSame(other.parts, parts));
      if (!copy) {
        copy = { parts, bytes: texelBytes(...parts), from: at, to: at };
        plan.copies.push(copy);
        live.push(copy);
      }
      copy.to = at;
      own.set(name, copy);
    }
    if (own.size > 0) plan.of.set(dispatch, own);
    live = live.filter(
      ({ to, bytes, parts }) =>
        at - to < KEPT_FOR &&
        bytes <= KEPT_BYTES &&
        !parts.some(({ storage }) => changes(pipelines, dispatch, storage)),
    );
  });
  return plan;
}

const isSame = (a: TexelCopy['parts'], b: TexelCopy['parts']): boolean =>
  a.length === b.length &&
  a.every(
    ({ storage, offset, bytes }, i) => storage === b[i].storage && offset === b[i].offset && bytes === b[i].bytes,
  );

/** Whether a dispatch may write what lies behind a storage. Arenas hold all variables and their gradients. */
function changes(pipelines: PipelineCache, { shader, bindings }: Lowered, storage: Storage): boolean {
  const declared = pipelines.interfaceOf(shader).storage;
  const inArena = (s: Storage) => 'variable' in s && (s.variable ?? s.gradientOf) !== undefined;
  return Object.entries(bindings).some(([name, binding]) => {
    if (!declared.get(name)?.writable) return false;
    if ('arena' in binding) return inArena(storage);
    return partsOf(binding).some(
      ({ storage: written }) => written === storage || (inArena(written) && inArena(storage)),
    );
  });
}

function partsOf(binding: Binding): TexelCopy['parts'] {
  if ('arena' in binding) throw new Error(`the arena ${binding.arena.name} cannot be read as texels; name a variable`);
  const parts: readonly Part[] = 'joined' in binding ? binding.joined : [binding];
  return parts.map((part) => ('storage' in part ? part : { storage: part, offset: 0, bytes: part.bytes }));
}

/** A texture with room for `bytes`, a multiple of rows. */
export const createTexels = (gpu: GPUDevice, label: string, bytes: number): GPUTexture =>
  gpu.createTexture({
    label,
    size: [TEXEL_WIDTH, bytes / ROW_BYTES],
    format: 'rgba32float',
    usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
  });

/** Arguments of `copyBufferToTexture`. */
export type TexelTransfer = Parameters<GPUCommandEncoder['copyBufferToTexture']>;

/** A part of a buffer. */
interface Memory {
  buffer: GPUBuffer;
  offset: number;
  bytes: number;
}

/** What copies memory into a texture from its first row on, each part of it from the beginning of a row. */
export function texelTransfers(memory: readonly Memory[], texture: GPUTexture): TexelTransfer[] {
  let row = 0;
  return memory.flatMap((part) => {
    const transfers = transfersFrom(part, texture, row);
    row += texelRows(part.bytes);
    return transfers;
  });
}

/**
 * Whole rows, then the rest of the last one. Where the buffer goes on for so long, the last row is taken whole, since a second transfer
 * costs more than what nobody reads of it.
 */
function transfersFrom({ buffer, offset, bytes }: Memory, texture: GPUTexture, row: number): TexelTransfer[] {
  const goesOn = bytes > ROW_BYTES && offset + texelRows(bytes) * ROW_BYTES <= buffer.size;
  const rows = goesOn ? texelRows(bytes) : Math.floor(bytes / ROW_BYTES);
  const rest = (bytes - rows * ROW_BYTES) / 16;
  const transfers: TexelTransfer[] = [];
  if (rows > 0) {
    const from = { buffer, offset, bytesPerRow: ROW_BYTES, rowsPerImage: rows };
    transfers.push([from, { texture, origin: [0, row] }, [TEXEL_WIDTH, rows]]);
  }
  if (rest > 0) {
    transfers.push([{ buffer, offset: offset + rows * ROW_BYTES }, { texture, origin: [0, row + rows] }, [rest, 1]]);
  }
  return transfers;
}

/** Texels of the probe: more than a row, so that both coordinates count. */
const PROBED = TEXEL_WIDTH + 64;

/**
 * Whether every lane of a subgroup gets the texel it asks for, found by computing. llvmpipe of Mesa 25.0.7 at 16 lanes gives zeros
 * to the upper 8 where its cache on disk was filled at 8 lanes (`driverEnvironment` in `dawn.ts` keeps them apart).
 */
export async function texelsAreRight(
  gpu: GPUDevice,
  { lanes, idle }: { lanes: number; idle<T>(promise: Promise<T>): Promise<T> },
): Promise<boolean> {
  gpu.pushErrorScope('validation');
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const given = Float32Array.from({ length: PROBED * 4 }, (_, i) => i + 1);
  const size = given.byteLength;
  const from = gpu.createBuffer({ size, usage });
  const to = gpu.createBuffer({ size, usage });
  const read = gpu.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const texture = createTexels(gpu, 'probe of texture loads', texelRows(size) * ROW_BYTES);
  gpu.queue.writeBuffer(from, 0, given);
  // Neighbouring lanes read far apart.
  const code = `
    @group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>;
    @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
    @compute @workgroup_size(${lanes})
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let i = id.x * 613u % ${PROBED}u;
      if (id.x < ${PROBED}u) { y[i] = textureLoad(x, vec2u(i & ${TEXEL_WIDTH - 1}u, i >> ${TEXEL_SHIFT}u)); }
    }`;
  try {
    const module = gpu.createShaderModule({ label: 'probe of texture loads', code });
    const pipeline = gpu.createComputePipeline({ layout: 'auto', compute: { module } });
    const layout = pipeline.getBindGroupLayout(0);
    const entries = [texture.createView(), { buffer: to }].map((resource, binding) => ({ binding, resource }));
    const encoder = gpu.createCommandEncoder();
    const transfers = texelTransfers([{ buffer: from, offset: 0, bytes: size }], texture);
    for (const transfer of transfers) encoder.copyBufferToTexture(...transfer);
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(Math.ceil(PROBED / lanes));
    pass.end();
    encoder.copyBufferToBuffer(to, 0, read, 0, size);
    gpu.queue.submit([encoder.finish()]);
    const error = await idle(gpu.popErrorScope());
    if (error) return false;
    await idle(read.mapAsync(GPUMapMode.READ));
    const got = new Float32Array(read.getMappedRange());
    return given.every((value, i) => got[i] === value);
  } finally {
    [from, to, read, texture].forEach((made) => made.destroy());
  }
}
