/**
 * The one file that knows Node and Dawn: it finds the adapter, reads the shader files and waits without spinning.
 * A browser needs another file of this kind and nothing else.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { create, globals } from 'webgpu';
import { Device, DeviceError, type KernelFamily } from './device.js';
import { requireHalves, withMatrixUnits } from './halves.js';
import type { Dtype } from './layout.js';

export interface OpenOptions {
  /** Part of the adapter's vendor, architecture, device or description; the default is whatever the driver prefers. */
  adapter?: string;
  /** Which convolution kernels to use instead of the adapter's own rule; for tests and comparisons. */
  kernels?: KernelFamily;
  /** With f16 the adapter has to have it, and to compute with it as training needs. Default f32. */
  precision?: Dtype;
  /** Timestamps as fine as the adapter has them; Dawn otherwise rounds them to 0.1 ms. For benchmarks. */
  exactTimestamps?: boolean;
  /** A driver loaded for this device alone, which reads its variables of the environment anew. For benchmarks. */
  ownDriver?: boolean;
}

// By flags. Dawn aborts the process when the object from create() is collected while a device is in use, so it stays reachable; and it
// prints its warnings about an adapter's limits once for each.
const keep = globalThis as { trimapInstances?: Map<string, GPU> };

const shaders = new Map<string, string>();

function shaderText(name: string): string {
  let text = shaders.get(name);
  if (text === undefined) {
    text = readFileSync(new URL(`../../shaders/${name}.wgsl`, import.meta.url), 'utf8');
    shaders.set(name, text);
  }
  return text;
}

const cell = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
let napping = false;

function nap(): void {
  napping = waiting > 0;
  if (!napping) return;
  Atomics.wait(cell, 0, 0, 1);
  setImmediate(nap);
}

/**
 * Dawn's bindings poll for completion in every turn of the event loop, which keeps a core busy while a promise is pending.
 * On a software adapter that core is the kernel's: sleeping 1 ms a turn made training 1.5 times as fast on two cores,
 * and leaves 3 to 5 % of a core to waiting (llvmpipe, the main thread's own processor time over steps of a second).
 */
export async function idle<T>(promise: Promise<T>): Promise<T> {
  waiting++;
  // One chain of naps, also when a wait begins before the chain of the last one has noticed its end.
  if (!napping) {
    napping = true;
    setImmediate(nap);
  }
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

const describe = (info: GPUAdapterInfo): string =>
  [info.vendor, info.architecture, info.device, info.description].filter((part) => part).join(' ');

/**
 * What Mesa's software driver, llvmpipe, has to find in the environment when it is loaded: vectors of 512 bits, which make
 * subgroups of 16 lanes instead of 8, where the processor has AVX-512 and computes with all of such a vector at once. A Zen 4
 * (AMD's family 25) takes it in halves, gains nothing and compiles for longer, so it keeps 8. Two cores of 2.6 GHz, Mesa 25.0.7 (LLVM
 * 15), medians at 16 and 8 lanes: conv2d 3x3 64->64 64x64 N=2 107 and 112 GFLOP/s, its filter's gradient 87 and 89, a copy 9.6 and 15
 * GB/s; the UNet's step of width 16 15.6 and 16.6 images/s, the ResNet34-UNet's 39 and 40; inference 53 and 52, 140 and 143; a first
 * step, kernels compiled anew, 16 and 6.7 s, 21 and 8.5 s. With Mesa 26.1.6 (LLVM 19): steps 13.8 and 15.4, 37 and 40; inference 52
 * and 50, 148 and 144; compiling 4.9 and 2.4, 5.3 and 2.9 s.
 * LP_NATIVE_VECTOR_WIDTH, where it is set, is left as it is.
 *
 * The driver's cache on disk takes its texture functions for one width as those for any other, which gave the upper 8 of 16 lanes
 * zeros: so a width that is set has a folder of its own.
 * @param processor the text of /proc/cpuinfo, or nothing where there is none
 * @param cache where caches are kept
 * @returns variables to be set
 */
export function driverEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  processor: string,
  cache: string,
): Record<string, string> {
  const has = (line: RegExp) => line.test(processor);
  const halves = has(/^vendor_id\s*:\s*AuthenticAMD$/m) && has(/^cpu family\s*:\s*25$/m);
  const wide = has(/^flags\s*:.*\bavx512vl\b/m) && !halves;
  const width = environment.LP_NATIVE_VECTOR_WIDTH || (wide ? '512' : '');
  if (!width) return {};
  const own = `vectors-of-${width}`;
  const shaders = environment.MESA_SHADER_CACHE_DIR ?? join(cache, 'trimap', 'mesa');
  return {
    LP_NATIVE_VECTOR_WIDTH: width,
    // A process that was started by one of ours has it already.
    MESA_SHADER_CACHE_DIR: shaders.endsWith(own) ? shaders : join(shaders, own),
  };
}

function processorText(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return ''; // Not Linux.
  }
}

function prepareDriver(): void {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const variables = driverEnvironment(process.env, processorText(), cache);
  Object.assign(process.env, variables);
  if (variables.MESA_SHADER_CACHE_DIR === undefined) return;
  try {
    mkdirSync(variables.MESA_SHADER_CACHE_DIR, { recursive: true });
  } catch {
    // The driver then works without a cache.
  }
}

/** @param own one that nobody else has, nor gets */
function instanceWith(flags: string[], own = false): GPU {
  if (!keep.trimapInstances) prepareDriver();
  const instances = (keep.trimapInstances ??= new Map());
  const key = own ? `own ${instances.size}` : flags.join(' ');
  const gpu: GPU = instances.get(key) ?? create(flags);
  instances.set(key, gpu);
  return gpu;
}

const requestAdapter = (gpu: GPU): Promise<GPUAdapter | null> =>
  gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);

/**
 * The adapter, and a way to get it once more, since each gives one device; WebGPU's globals are set.
 * @throws DeviceError when there is no adapter, or none of the given name
 */
export async function findAdapter({ adapter: wanted, precision, exactTimestamps, ownDriver }: OpenOptions = {}) {
  for (const [name, value] of Object.entries(globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  // Dawn compares with the driver's own name of each adapter; what `trimap info` shows is compared here.
  // Dawn hides matrix units, and f16 of NVIDIA's drivers, unless asked.
  const flags = [
    ...(precision === 'f16' ? ['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia'] : []),
    ...(exactTimestamps ? ['disable-dawn-features=timestamp_quantization'] : []),
  ];
  let gpu = instanceWith(wanted ? [`adapter=${wanted}`, ...flags] : flags, ownDriver);
  let adapter = await requestAdapter(gpu);
  const named = adapter !== null;
  if (wanted && !named) {
    gpu = instanceWith(flags, ownDriver);
    adapter = await requestAdapter(gpu);
  }
  if (!adapter)
    throw new DeviceError('no WebGPU adapter found; `node cli/setup.mjs` installs a software one, or says how');
  const found = describe(adapter.info);
  if (wanted && !named && !found.toLowerCase().includes(wanted.toLowerCase())) {
    throw new DeviceError(`no WebGPU adapter matches --adapter ${wanted}; without the flag "${found}" is used`);
  }
  return { adapter, name: found, another: () => requestAdapter(gpu) };
}

/**
 * Opens a device with the adapter's own limits and the optional features that the engine can use.
 * @throws DeviceError when there is no adapter, none of the given name, or no f16 where that is asked for
 */
export async function openDevice(options: OpenOptions = {}): Promise<Device> {
  const { kernels, precision = 'f32' } = options;
  const { adapter, name, another } = await findAdapter(options);
  // More would wait for the longest shader all the same.
  const helpers = { count: Math.min(availableParallelism(), 8) - 1, adapter: another };
  const device = await Device.open(adapter, { shaderText, idle, kernels, name, helpers });
  if (precision === 'f32') return device;
  try {
    await requireHalves(device);
    return kernels === undefined ? await withMatrixUnits(device) : device;
  } catch (error) {
    device.close();
    throw error;
  }
}
