import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { augmentationStatistics, defaultAugmentation, sampleAugmentation } from '../data/augment.js';
import { Batches } from '../data/batches.js';
import { type Cache, openCache } from '../data/cache.js';
import { type Dataset, openDataset } from '../data/dataset.js';
import { prepareSample, readPair } from '../data/prepare.js';
import { drawSample } from '../data/sample.js';
import { defaultWorkers } from '../data/workers.js';
import { augmentationFloats } from '../engine/augmentation.js';
import type { Device } from '../engine/device.js';
import { Graph } from '../engine/graph.js';
import { augmentImages } from '../engine/ops/augmentImages.js';
import { Plan } from '../engine/plan.js';
import { median, type Rounds } from '../engine/timing.js';
import { IMAGENET } from '../nets/model.js';
import { type Row, round3 } from './rows.js';

export interface DataOptions extends Rounds {
  /** Data set; undefined for photos that are drawn at about the size of the Oxford-IIIT Pet's. */
  dataPath?: string;
  /** Photos that take part, spread over the data set. */
  photos: number;
  /** Height and width that they are resized to, pixels. */
  size: number;
  batch: number;
}

/** A part of the way from files to the net's input; `run` takes `images` photos through it. */
interface Part {
  work: string;
  variant: string;
  images: number;
  run(): void | Promise<void>;
}

const DRAWN = { minSize: 300, maxSize: 500, seed: 1 } as const;

/** Photos a second of decoding, cache, batches and augmentation, each alone. The files are in the system's own cache. */
export async function benchData(device: Device, options: DataOptions): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'trimap-bench-'));
  try {
    const dataset = await choosePhotos(folder, options);
    const { size, rounds, roundMs } = options;
    const cache = await openCache(dataset, { height: size, width: size, directory: join(folder, 'cache') });
    const { parts, destroy } = await partsOf(device, dataset, cache, folder, options);
    try {
      const times = await raceParts(parts, { rounds, roundMs });
      return parts.map(({ work, variant, images }, i) => {
        const rate = (ms: number): number => round3((1000 * images) / ms);
        return {
          bench: 'data',
          work,
          shape: `${dataset.samples.length} photos to ${size}x${size}`,
          variant,
          value: rate(Math.min(...times[i])),
          unit: 'images/s',
          median: rate(median(times[i])),
          worst: rate(Math.max(...times[i])),
          adapter: device.description,
        };
      });
    } finally {
      destroy();
      await cache.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function choosePhotos(folder: string, { dataPath, photos }: DataOptions): Promise<Dataset> {
  const path = dataPath ?? join(folder, 'photos');
  if (dataPath === undefined) await drawSample(path, { ...DRAWN, count: photos });
  const dataset = openDataset(path, { seed: 42, onBadFile: 'stop' });
  const { samples } = dataset;
  const count = Math.min(photos, samples.length);
  const chosen = Array.from({ length: count }, (_, i) => samples[Math.floor((i * samples.length) / count)]);
  return { ...dataset, samples: chosen };
}

async function partsOf(
  device: Device,
  dataset: Dataset,
  cache: Cache,
  folder: string,
  { size, batch }: DataOptions,
): Promise<{ parts: Part[]; destroy(): void }> {
  const { samples, maskRule } = dataset;
  const images = samples.length;
  const jobs = samples.map(({ image, mask }) => ({ image, mask, maskRule, height: size, width: size }));
  const indices = samples.map((_, i) => i);
  const record = new Uint8Array(cache.recordBytes);
  const augment = await augmentation(device, size, batch);
  const draw = (index: number) => sampleAugmentation(defaultAugmentation, 1, 1, index, size, size);
  const oneThread = '1 thread';
  const parts: Part[] = [
    { work: 'decode', variant: oneThread, images, run: () => jobs.forEach((job) => readPair(job)) },
    { work: 'decode and resize', variant: oneThread, images, run: () => jobs.forEach((job) => prepareSample(job)) },
    {
      work: 'make the cache',
      variant: `${defaultWorkers} threads`,
      images,
      async run() {
        const directory = mkdtempSync(join(folder, 'made-'));
        await (await openCache(dataset, { height: size, width: size, directory })).close();
        rmSync(directory, { recursive: true });
      },
    },
    {
      work: 'read the cache',
      variant: 'one by one',
      images,
      async run() {
        for (const index of indices) await cache.read(index, record);
      },
    },
    {
      work: 'batches',
      variant: `shuffled, ${batch}`,
      images: Math.ceil(images / batch) * batch,
      async run() {
        const batches = new Batches(cache, { batchSize: batch, indices, shuffle: { seed: 1, epoch: 1 }, last: 'wrap' });
        while (await batches.next());
      },
    },
    { work: 'draw augmentation', variant: oneThread, images, run: () => indices.forEach(draw) },
    { work: 'augment', variant: `adapter, batches of ${batch}`, images: batch, run: augment.run },
  ];
  return { parts, destroy: augment.destroy };
}

/** Uploads and augments a batch of random pixels with the default augmentation. */
async function augmentation(device: Device, size: number, batch: number) {
  const graph = new Graph();
  const pixels = graph.input('pixels', [batch, size, size], 'words');
  const parameters = graph.input('augmentation', [batch, augmentationFloats, 1, 1]);
  const statistics = augmentationStatistics(defaultAugmentation);
  const made = augmentImages(pixels, parameters, { ...IMAGENET, statistics });
  const plan = await Plan.compile(device, graph, { outputs: [made.image, made.mask] });
  const bytes = Uint8Array.from({ length: batch * size * size * 4 }, (_, i) => (i % 4 === 3 ? 1 : (i * 7) % 256));
  const drawn = Array.from({ length: batch }, (_, i) => sampleAugmentation(defaultAugmentation, 1, 1, i, size, size));
  const values = Float32Array.from(drawn.flatMap((one) => [...one]));
  return {
    async run() {
      plan.write(pixels, bytes);
      plan.write(parameters, values);
      plan.run();
      await device.wait(device.gpu.queue.onSubmittedWorkDone());
    },
    destroy: () => plan.destroy(),
  };
}

/** Milliseconds of each round of each part. */
async function raceParts(parts: readonly Part[], { rounds, roundMs }: Rounds): Promise<number[][]> {
  const repeat = async ({ run }: Part, count: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < count; i++) await run();
    return (performance.now() - start) / count;
  };
  const counts: number[] = [];
  for (const part of parts) counts.push(Math.max(1, Math.round(roundMs / (await repeat(part, 1)))));
  const times: number[][] = parts.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, part] of parts.entries()) times[i].push(await repeat(part, counts[i]));
  }
  return times;
}
