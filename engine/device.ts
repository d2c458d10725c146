import { PipelineCache } from './pipelines.js';
import { TEXEL_WIDTH, texelsAreRight } from './texels.js';

/** Something about the adapter or device that the user has to mend; the CLI exits with code 4. */
export class DeviceError extends Error {
  override name = 'DeviceError';
}

/**
 * `subgroup`: lanes of one subgroup share loads (CPU adapters); `tiled`: workgroup memory (GPUs); `matrix`: matrix units for images
 * in f16, else as `tiled`; `plain`: the reference.
 */
export type KernelFamily = 'plain' | 'tiled' | 'subgroup' | 'matrix';

/** Sizes of a product of matrix units, M x K and K x N, of f16 added up in f32. */
export interface MatrixShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/**
 * Says which of several forms of a convolution to take; undefined leaves it to the rule, which prefers the first.
 * @param work all that the choice may depend on: pass, geometry, sizes
 * @param forms names of those that can do it
 */
export type FormChooser = (work: string, forms: readonly string[]) => number | undefined;

/** What lowering may know of the adapter. */
export interface DeviceTraits {
  /** The adapter is a processor, not a graphics card. */
  readonly cpu: boolean;
  /** Lanes of a subgroup where that number is fixed; 0 where it varies or subgroups are missing. */
  readonly subgroupSize: number;
  readonly kernels: KernelFamily;
  /** What people should know of the adapter, such as why something that it has is not used. */
  readonly remark?: string;
  /** Undefined where there are no matrix units for f16, or subgroups have no fixed size. */
  readonly matrix: MatrixShape | undefined;
  readonly maxBindingBytes: number;
  readonly storageOffsetAlignment: number;
  readonly uniformOffsetAlignment: number;
  /** Most workgroups in one dimension of a dispatch. */
  readonly maxWorkgroups: number;
  /** Most bytes that may be read as texels (`texels.ts`); 0 where that does not pay or was found to be wrong. */
  readonly maxTexelBytes: number;
  /** Convolutions of few channels have kernels of their own. */
  readonly fewChannels: boolean;
  /** Plans merge ops that pass over the same memory, unless they are asked not to (`PlanOptions.fuse`). */
  readonly fuse: boolean;
  readonly choose?: FormChooser;
}

/** What the engine needs from the place it runs in. */
export interface Platform {
  /** The adapter's name for people. */
  readonly name: string;
  /** The text of `shaders/NAME.wgsl`; throws where there is none. */
  shaderText(name: string): string;
  /** Awaits a promise of the GPU without keeping the processor busy. */
  idle<T>(promise: Promise<T>): Promise<T>;
  readonly kernels?: KernelFamily;
  /** Further devices that can help a software adapter to compile: how many are worth it, and an adapter for one. */
  readonly helpers?: { readonly count: number; adapter(): Promise<GPUAdapter | null> };
}

/** Not in WebGPU's types yet. */
const MATRIX_FEATURE = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;
const FEATURES = ['subgroups', 'timestamp-query', 'shader-f16', MATRIX_FEATURE] as const;
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupsPerDimension',
  'maxTextureDimension2D',
  'minStorageBufferOffsetAlignment',
  'minUniformBufferOffsetAlignment',
] as const;

/** Results of every step are small and read again and again; weights are large and read once in a while. */
const LARGEST_KEPT_STAGING = 1 << 16;

type Chosen = Pick<DeviceTraits, 'kernels' | 'subgroupSize' | 'matrix'>;

/** @throws DeviceError */
function checkKernels({ kernels, subgroupSize, matrix }: Chosen, name: string): void {
  if (kernels === 'matrix' && !matrix) {
    throw new DeviceError(
      `${name} has no matrix units that multiply f16 into f32, or hides them; only --precision f16 asks for them`,
    );
  }
  if (kernels === 'subgroup' && subgroupSize < 8) {
    throw new DeviceError(`${name} has no subgroups of a fixed size of 8 or more, which the subgroup kernels need`);
  }
}

/** An entry of `adapter.info.subgroupMatrixConfigs`. */
interface MatrixConfig extends MatrixShape {
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** The one with the most arithmetic for what it loads. */
export function largestMatrix(configs: readonly MatrixConfig[]): MatrixShape | undefined {
  const fitting = configs.filter((config) => config.componentType === 'f16' && config.resultComponentType === 'f32');
  if (fitting.length === 0) return undefined;
  const { M, N, K } = fitting.reduce((best, other) =>
    other.M * other.N * other.K > best.M * best.N * best.K ? other : best,
  );
  return { M, N, K };
}

/**
 * A device with the adapter's own limits and the optional features that the engine can use.
 * @throws DeviceError when the adapter gives none
 */
export function requestDevice(adapter: GPUAdapter, name: string): Promise<GPUDevice> {
  const requiredFeatures = (FEATURES as readonly GPUFeatureName[]).filter((feature) => adapter.features.has(feature));
  const requiredLimits = Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]]));
  return adapter.requestDevice({ requiredFeatures, requiredLimits }).catch((error: Error) => {
    throw new DeviceError(`${name} gives no device: ${error.message}`);
  });
}

/** An open device. It owns pipelines; memory belongs to `Variables` and `Plan`. */
export class Device {
  readonly pipelines: PipelineCache;
  private readonly staging: GPUBuffer[] = [];
  private failure?: DeviceError;
  private closing = false;

  private constructor(
    readonly gpu: GPUDevice,
    readonly adapter: GPUAdapter,
    readonly platform: Platform,
    readonly traits: DeviceTraits,
  ) {
    this.pipelines = new PipelineCache(gpu, platform);
    gpu.addEventListener('uncapturederror', (event) => {
      this.failure ??= new DeviceError(`the device reports: ${(event as GPUUncapturedErrorEvent).error.message}`);
    });
    void gpu.lost.then((info) => {
      if (this.closing) return;
      this.failure = new DeviceError(
        `the device was lost (${info.reason}): ${info.message}; checkpoints written so far are whole, and the run can be resumed`,
      );
    });
  }

  /** @throws DeviceError when the adapter gives no device */
  static async open(adapter: GPUAdapter, platform: Platform): Promise<Device> {
    const gpu = await requestDevice(adapter, platform.name);
    const { info } = adapter as unknown as {
      info: GPUAdapterInfo & {
        isFallbackAdapter?: boolean;
        subgroupMinSize: number;
        subgroupMaxSize: number;
        subgroupMatrixConfigs?: readonly MatrixConfig[];
      };
    };
    const hasMatrix = gpu.features.has(MATRIX_FEATURE);
    const fixed = gpu.features.has('subgroups') && info.subgroupMinSize === info.subgroupMaxSize;
    const cpu = info.isFallbackAdapter === true;
    const subgroupSize = fixed ? info.subgroupMinSize : 0;
    const kernels = platform.kernels ?? (cpu && subgroupSize >= 8 ? 'subgroup' : 'tiled');
    // llvmpipe (Mesa 26.1.6) crashes where it compiles products of 8x8 matrices for 16 lanes.
    const works = fixed && hasMatrix && !(cpu && subgroupSize > 8);
    const matrix = works ? largestMatrix(info.subgroupMatrixConfigs ?? []) : undefined;
    checkKernels({ kernels, subgroupSize, matrix }, platform.name);
    const texels = cpu && subgroupSize > 0 && (await texelsAreRight(gpu, { lanes: subgroupSize, idle: platform.idle }));
    return new Device(gpu, adapter, platform, {
      cpu,
      subgroupSize,
      kernels,
      matrix,
      maxBindingBytes: gpu.limits.maxStorageBufferBindingSize,
      storageOffsetAlignment: gpu.limits.minStorageBufferOffsetAlignment,
      uniformOffsetAlignment: gpu.limits.minUniformBufferOffsetAlignment,
      maxWorkgroups: gpu.limits.maxComputeWorkgroupsPerDimension,
      maxTexelBytes: texels ? gpu.limits.maxTextureDimension2D * TEXEL_WIDTH * 16 : 0,
      fewChannels: true,
      fuse: true,
    });
  }

  /**
   * This device with other convolution kernels, to compare them; closing either closes both.
   * @param texels false: they load from buffers also where textures would do
   * @throws DeviceError when the adapter lacks what they need
   */
  withKernels(kernels: KernelFamily, texels = true): Device {
    checkKernels({ ...this.traits, kernels }, this.platform.name);
    const maxTexelBytes = texels ? this.traits.maxTexelBytes : 0;
    return Object.assign(Object.create(this) as Device, { traits: { ...this.traits, kernels, maxTexelBytes } });
  }

  withRemark(remark: string): Device {
    return Object.assign(Object.create(this) as Device, { traits: { ...this.traits, remark } });
  }

  /**
   * This device with other habits; closing either closes both.
   * @param habits a smaller `maxBindingBytes` has calls run in more parts of the batch
   */
  withHabits(habits: Partial<Pick<DeviceTraits, 'fewChannels' | 'fuse' | 'choose' | 'maxBindingBytes'>>): Device {
    return Object.assign(Object.create(this) as Device, { traits: { ...this.traits, ...habits } });
  }

  /** One line for people: who computes, and with which kernels. */
  get description(): string {
    const { cpu, subgroupSize, kernels, matrix, maxTexelBytes, remark } = this.traits;
    const said = remark === undefined ? '' : `; ${remark}`;
    const lanes = subgroupSize ? `, subgroups of ${subgroupSize}` : '';
    const texels = kernels === 'subgroup' && maxTexelBytes > 0 ? ' with texture loads' : '';
    const units = kernels === 'matrix' && matrix ? ` of ${matrix.M}x${matrix.N}x${matrix.K}` : '';
    return `${this.platform.name}${cpu ? ' (software adapter on the processor)' : ''}${lanes}, ${kernels} convolutions${units}${texels}${said}`;
  }

  /** @throws DeviceError when the buffer is larger than the adapter allows */
  createBuffer(name: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    if (bytes > this.gpu.limits.maxBufferSize) {
      throw new DeviceError(
        `${name} needs ${bytes} bytes; a buffer of this adapter holds ${this.gpu.limits.maxBufferSize}`,
      );
    }
    return this.gpu.createBuffer({ label: name, size: Math.ceil(bytes / 16) * 16, usage });
  }

  /** Waits for a promise of this device, and throws what went wrong on the device meanwhile. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    try {
      return await this.platform.idle(promise);
    } catch (error) {
      await Promise.resolve();
      throw this.failure ?? error;
    } finally {
      this.check();
    }
  }

  /** @throws DeviceError when the device was lost or reported an error */
  check(): void {
    if (this.failure) throw this.failure;
  }

  /** Runs `make` and throws the validation or memory error that it caused on the device. */
  async checked<T>(what: string, make: () => T | Promise<T>): Promise<T> {
    this.gpu.pushErrorScope('out-of-memory');
    this.gpu.pushErrorScope('validation');
    let made: T;
    try {
      made = await make();
    } finally {
      const errors = await Promise.all([this.wait(this.gpu.popErrorScope()), this.wait(this.gpu.popErrorScope())]);
      const error = errors.find((e) => e !== null);
      if (error) throw new DeviceError(`${what}: ${error.message}`);
    }
    return made;
  }

  /** Copies of parts of buffers, once the work submitted so far is done. The staging buffers are kept for the next read. */
  async read(parts: readonly { buffer: GPUBuffer; offset: number; bytes: number }[]): Promise<ArrayBuffer[]> {
    const encoder = this.gpu.createCommandEncoder();
    const staged = parts.map(({ buffer, offset, bytes }) => {
      const free = this.staging.findIndex(({ size }) => size === bytes);
      const staging =
        free >= 0
          ? this.staging.splice(free, 1)[0]
          : this.gpu.createBuffer({
              label: 'read',
              size: bytes,
              usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
            });
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
      return staging;
    });
    this.gpu.queue.submit([encoder.finish()]);
    await this.wait(Promise.all(staged.map((staging) => staging.mapAsync(GPUMapMode.READ))));
    return staged.map((staging) => {
      const copy = staging.getMappedRange().slice(0);
      staging.unmap();
      if (staging.size <= LARGEST_KEPT_STAGING) this.staging.push(staging);
      else staging.destroy();
      return copy;
    });
  }

  /** Lets the process exit; nothing of the device may be used afterwards. */
  close(): void {
    this.closing = true;
    this.gpu.destroy();
  }
}
