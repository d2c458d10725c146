/**
 * Machine code in parallel. llvmpipe generates a pipeline's code when it is first dispatched, all on the one thread that works
 * for a device: 24 s for the 46 pipelines of a ResNet34-UNet's training step. Here each is dispatched over no workgroups when the
 * plan is made, and when that takes long, further devices of the same adapter take a share. They leave the code in the driver's
 * cache, where the first device finds it: 15 s with two (Mesa 25.0.7, two threads of a 2.5 GHz Xeon), and 0.03 s to find all.
 */
import { type Device, requestDevice } from './device.js';
import { PipelineCache, type Pipeline, type PipelineRequest } from './pipelines.js';
import { createTexels, TEXEL_WIDTH } from './texels.js';

/** Milliseconds after which the cache is known to be cold: what it holds takes one or two a pipeline. */
const COLD = 100;

/** Bytes of what stands in for a buffer; enough for the smallest that a shader may declare. */
const BYTES = 1024;

/** Pipelines ready to run, compiled in parallel. */
export async function compileAll(device: Device, requests: readonly PipelineRequest[]): Promise<Pipeline[]> {
  const pipelines = await Promise.all(requests.map((request) => device.pipelines.get(request)));
  if (device.traits.cpu) await useFirst(device, requests);
  return pipelines;
}

/**
 * Has pipelines of a software adapter compiled to machine code; each once a device.
 * @param cold milliseconds after which help is asked for
 */
export async function useFirst(device: Device, requests: readonly PipelineRequest[], cold = COLD): Promise<void> {
  const { platform, pipelines } = device;
  const left = pipelines.unused(requests);
  const own = new Stage(device.gpu);
  const helpers: Promise<void>[] = [];
  const start = performance.now();
  try {
    for (let next = left.shift(); next; next = left.shift()) {
      await device.wait(own.use(await pipelines.get(next)));
      if (helpers.length > 0 || performance.now() - start < cold) continue;
      for (let i = 0; i < Math.min(platform.helpers?.count ?? 0, left.length); i++) helpers.push(help(device, left));
    }
    await Promise.all(helpers);
  } finally {
    own.destroy();
  }
}

/** Takes pipelines from the list until it is empty, on a device of its own. */
async function help({ platform }: Device, left: PipelineRequest[]): Promise<void> {
  const adapter = await platform.helpers!.adapter();
  if (!adapter) return;
  const gpu = await requestDevice(adapter, platform.name);
  const pipelines = new PipelineCache(gpu, platform);
  const stage = new Stage(gpu);
  try {
    for (let next = left.shift(); next; next = left.shift()) {
      await platform.idle(stage.use(await pipelines.get(next)));
    }
  } finally {
    stage.destroy();
    gpu.destroy();
  }
}

/** What a dispatch has to bind although it does nothing. */
class Stage {
  private readonly buffers = new Map<number, GPUBuffer>();
  private texture?: GPUTexture;
  /** Counts of workgroups: none. */
  private readonly none: GPUBuffer;

  constructor(private readonly gpu: GPUDevice) {
    this.none = gpu.createBuffer({ label: 'no workgroups', size: 16, usage: GPUBufferUsage.INDIRECT });
  }

  async use({ pipeline, layout, entries }: Pipeline): Promise<void> {
    const encoder = this.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const bound = entries.map(({ binding, buffer }) => ({
      binding,
      resource: buffer ? { buffer: this.buffer(binding) } : this.view(),
    }));
    pass.setBindGroup(0, this.gpu.createBindGroup({ label: 'first use', layout, entries: bound }));
    // A count of 0 given directly makes Dawn print a warning.
    pass.dispatchWorkgroupsIndirect(this.none, 0);
    pass.end();
    this.gpu.queue.submit([encoder.finish()]);
    await this.gpu.queue.onSubmittedWorkDone();
  }

  /** One for each binding: what a dispatch writes must not be bound twice. */
  private buffer(binding: number): GPUBuffer {
    let buffer = this.buffers.get(binding);
    if (!buffer) {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM;
      buffer = this.gpu.createBuffer({ label: 'first use', size: BYTES, usage });
      this.buffers.set(binding, buffer);
    }
    return buffer;
  }

  private view(): GPUTextureView {
    this.texture ??= createTexels(this.gpu, 'first use', TEXEL_WIDTH * 16);
    return this.texture.createView();
  }

  destroy(): void {
    [this.none, ...this.buffers.values()].forEach((buffer) => buffer.destroy());
    this.texture?.destroy();
  }
}
