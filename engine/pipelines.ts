import type { Platform } from './device.js';
import { type Constants, type ShaderText, sourceLines, specialise, texelsDirective } from './wgsl.js';

/** What a shader declares, read from its text so that the host cannot disagree with it. */
export interface ShaderInterface {
  /** Fields of `struct Params`, in order. */
  params: { name: string; type: 'u32' | 'i32' | 'f32' }[];
  /**
   * Storage bindings by variable name, those of `#texels` among them. `element` is what the array is of.
   */
  storage: Map<string, { binding: number; writable: boolean; element: string }>;
}

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly entries: readonly GPUBindGroupLayoutEntry[];
}

export interface PipelineRequest {
  shader: string;
  entry: string;
  constants: Constants;
  /** Names of the storage variables in use; an entry point may use a part of those the file declares. */
  storage: readonly string[];
  /** Those of them that are textures in this form. */
  texels: readonly string[];
}

/** Reads `struct Params` and the bindings of group 0, in the shader and the parts that it includes. */
export function readInterface(shader: string, textOf: ShaderText): ShaderInterface {
  const lines = sourceLines(shader, textOf).map(({ text }) => text);
  const source = lines.join('\n');
  const params: ShaderInterface['params'] = [];
  const struct = /struct\s+Params\s*\{([^}]*)\}/.exec(source);
  for (const field of struct ? struct[1].replace(/\/\/.*$/gm, '').split(',') : []) {
    if (field.trim() === '') continue;
    const parts = /^\s*(\w+)\s*:\s*(u32|i32|f32)\s*$/.exec(field);
    if (!parts) throw new Error(`${shader}.wgsl: a field of Params is u32, i32 or f32, not "${field.trim()}"`);
    params.push({ name: parts[1], type: parts[2] as 'u32' | 'i32' | 'f32' });
  }
  const storage: ShaderInterface['storage'] = new Map();
  for (const [, binding, access, name, element] of source.matchAll(
    /@group\(0\)\s*@binding\((\d+)\)\s*var<storage,\s*(read|read_write)>\s*(\w+)\s*:\s*array<([\w<>]+)>\s*;/g,
  )) {
    storage.set(name, { binding: Number(binding), writable: access === 'read_write', element });
  }
  for (const line of lines) {
    const texels = texelsDirective(line);
    if (texels) storage.set(texels.name, { binding: texels.binding, writable: false, element: texels.element });
  }
  return { params, storage };
}

/** Pipelines by what was specialised: file, entry point, constants, bindings in use. Each is compiled once a device. */
export class PipelineCache {
  private readonly made = new Map<string, Promise<Pipeline>>();
  private readonly interfaces = new Map<string, ShaderInterface>();
  private readonly used = new Set<string>();
  private readonly textOf: ShaderText = (name) => this.platform.shaderText(name);

  constructor(
    private readonly gpu: GPUDevice,
    private readonly platform: Platform,
  ) {}

  interfaceOf(shader: string): ShaderInterface {
    let found = this.interfaces.get(shader);
    if (!found) {
      found = readInterface(shader, this.textOf);
      this.interfaces.set(shader, found);
    }
    return found;
  }

  static key(request: PipelineRequest): string {
    return JSON.stringify([request.shader, request.entry, request.constants, request.storage, request.texels]);
  }

  /** Starts compiling, or finds what was started before; ask for all before awaiting one, and they compile in parallel. */
  get(request: PipelineRequest): Promise<Pipeline> {
    const key = PipelineCache.key(request);
    let pipeline = this.made.get(key);
    if (!pipeline) {
      pipeline = this.compile(request);
      this.made.set(key, pipeline);
    }
    return pipeline;
  }

  /** Those that this has not given before, each once: from the longest shader down, which is about the order of compile times. */
  unused(requests: readonly PipelineRequest[]): PipelineRequest[] {
    const fresh = new Map(requests.map((request) => [PipelineCache.key(request), request]));
    for (const key of [...fresh.keys()]) if (this.used.has(key)) fresh.delete(key);
    for (const key of fresh.keys()) this.used.add(key);
    const length = ({ shader, constants }: PipelineRequest): number =>
      specialise(shader, this.textOf, constants).code.length;
    const lengths = new Map([...fresh.values()].map((request) => [request, length(request)]));
    return [...lengths.keys()].sort((a, b) => lengths.get(b)! - lengths.get(a)!);
  }

  private async compile({ shader, entry, constants, storage, texels }: PipelineRequest): Promise<Pipeline> {
    const { code, lines } = specialise(shader, this.textOf, constants);
    const { params, storage: declared } = this.interfaceOf(shader);
    const entries: GPUBindGroupLayoutEntry[] = storage.map((name) => {
      const { binding, writable } = declared.get(name)!;
      return {
        binding,
        visibility: GPUShaderStage.COMPUTE,
        ...(texels.includes(name)
          ? { storageTexture: { access: 'read-only', format: 'rgba32float' } }
          : { buffer: { type: writable ? 'storage' : 'read-only-storage' } }),
      };
    });
    if (params.length > 0)
      entries.push({ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'uniform' } });
    const layout = this.gpu.createBindGroupLayout({ label: shader, entries });
    // The scope takes the module's own report, which comes a second time, and located, from the pipeline below.
    this.gpu.pushErrorScope('validation');
    const module = this.gpu.createShaderModule({ label: shader, code });
    const report = this.platform.idle(this.gpu.popErrorScope());
    try {
      const [pipeline] = await this.platform.idle(
        Promise.all([
          this.gpu.createComputePipelineAsync({
            label: `${shader}.${entry}`,
            layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
            compute: { module, entryPoint: entry },
          }),
          report,
        ]),
      );
      return { pipeline, layout, entries };
    } catch (error) {
      const info = await this.platform.idle(module.getCompilationInfo());
      const errors = info.messages.filter((message) => message.type === 'error');
      const texts = code.split('\n');
      const located = errors.map((message) => {
        const from = lines[message.lineNum - 1];
        const at = from ? `shaders/${from.file}:${from.line}:${message.linePos}` : `shaders/${shader}.wgsl, constants`;
        return `${at}: ${message.message}\n    ${texts[message.lineNum - 1]?.trim() ?? ''}`;
      });
      const why = located.length > 0 ? located.join('\n') : (error as Error).message;
      throw new Error(`${shader}.${entry} with ${JSON.stringify(constants)} does not compile:\n${why}`);
    }
  }
}
