// Training and evaluation steps over time: memory, repeatability, learning, and going on from a checkpoint.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { join } from 'node:path';
import {
  type CheckpointInfo,
  freshState,
  loadOptimizer,
  loadWeights,
  readCheckpoint,
  saveCheckpoint,
} from '../cli/checkpoint.js';
import { unaugmented } from '../cli/evaluation.js';
import { Progress } from '../cli/progress.js';
import { modelSettings, trainingSettings } from '../cli/settings.js';
import { Trainer } from '../cli/trainer.js';
import { resolveSettings } from '../cli/trainFlags.js';
import { openCache } from '../data/cache.js';
import { openDataset } from '../data/dataset.js';
import { drawSample } from '../data/sample.js';
import { Random } from '../engine/random.js';
import { Variables } from '../engine/variables.js';
import { EvaluationStep } from '../nets/evaluationStep.js';
import { TrainingStep } from '../nets/trainingStep.js';
import { inDirectory } from './helpers/data.js';
import { testDevice } from './helpers/device.js';

const device = await testDevice();
const test = suite('steps');

const BATCH = 4;
const settings = resolveSettings({ dataPath: 'photos', size: 32, baseWidth: 2, batchSize: BATCH, learningRate: 0.01 });

/** A bright square on dark noise, and its mask: what a few dozen steps can learn. */
function squares(): Uint8Array<ArrayBuffer> {
  const { size } = settings;
  const random = new Random('squares');
  const pixels = new Uint8Array(BATCH * size * size * 4);
  for (let n = 0, i = 0; n < BATCH; n++) {
    for (let p = 0; p < size * size; p++, i += 4) {
      const inside = Math.abs((p % size) - 8 - 4 * n) < 6 && Math.abs(Math.floor(p / size) - 16) < 7;
      for (let c = 0; c < 3; c++) pixels[i + c] = random.integer(100) + (inside ? 120 : 0);
      pixels[i + 3] = inside ? 1 : 0;
    }
  }
  return pixels;
}

/** Counts the buffers of the device that are alive, among those made while `body` runs. */
async function countBuffers<T>(body: (live: () => number) => Promise<T>): Promise<T> {
  const { gpu } = device;
  const create = gpu.createBuffer;
  let live = 0;
  gpu.createBuffer = (descriptor) => {
    const buffer = create.call(gpu, descriptor);
    const { destroy } = buffer;
    live++;
    buffer.destroy = () => {
      live--;
      destroy.call(buffer);
      return undefined;
    };
    return buffer;
  };
  try {
    return await body(() => live);
  } finally {
    gpu.createBuffer = create;
  }
}

test('over 50 steps the loss falls and memory stays as it is; the end frees it; a second run has the same bits', () =>
  countBuffers(async (live) => {
    const pixels = squares();
    const parameters = unaugmented(BATCH);
    const train = async (steps: number) => {
      const variables = new Variables(device);
      const step = await TrainingStep.compile(device, variables, trainingSettings(settings, 1));
      const evaluation = await EvaluationStep.compile(device, variables, { ...modelSettings(settings), batch: BATCH });
      const losses: number[] = [];
      let early = 0;
      for (let i = 1; i <= steps; i++) {
        step.run(pixels, parameters, 0.01, i);
        losses.push((await step.result()).loss);
        evaluation.run(pixels, parameters);
        assert.is((await evaluation.result()).counts.length, 4 * BATCH);
        if (i === 3) early = live();
      }
      assert.ok(early > 0);
      assert.is(live(), early);
      step.destroy();
      evaluation.destroy();
      variables.destroy();
      assert.ok(live() < early);
      return { losses, left: live() };
    };
    const one = await train(50);
    assert.ok(one.losses[49] < 0.6 * one.losses[0], `${one.losses[0]} to ${one.losses[49]}`);
    const two = await train(10);
    assert.equal(two.losses, one.losses.slice(0, 10));
    // The device keeps the few buffers that it reads through.
    assert.is(two.left, one.left);
  }));

test('training stopped inside an epoch goes on to the same bits, and the same sums', () =>
  inDirectory(async (directory) => {
    const photos = join(directory, 'photos');
    await drawSample(photos, { count: 22, minSize: 32, maxSize: 40, seed: 4 });
    const dataset = openDataset(photos, { seed: 1, onBadFile: 'stop' });
    const cache = await openCache(dataset, { height: 32, width: 32, directory, workers: 1 });
    const silent = new Progress({ write: () => {} });
    const path = join(directory, 'last.safetensors');

    /** Trains from `from` (or the start) until `steps` steps are done or the epoch ends, and saves. */
    const train = async (steps: number, from?: string) => {
      const variables = new Variables(device);
      const step = await TrainingStep.compile(device, variables, trainingSettings(settings, 1));
      const checkpoint = from === undefined ? undefined : readCheckpoint(from);
      if (checkpoint) {
        loadWeights(variables, checkpoint, settings);
        loadOptimizer(variables, checkpoint, step.stateNames);
      }
      const state = checkpoint ? checkpoint.info!.state : freshState();
      const trainer = new Trainer(step, cache, settings, state, silent);
      // The step after the one asked about is under way, as in every run.
      const finished = await trainer.trainEpoch(() => state.step + 1 >= steps, {
        isDue: () => false,
        now: async () => {},
      });
      const info: CheckpointInfo = { settings, state, validation: null, trainingPhotos: '' };
      await saveCheckpoint(path, variables, step.stateNames, info);
      step.destroy();
      variables.destroy();
      return { finished, state, tensors: readCheckpoint(path) };
    };

    const whole = await train(Infinity);
    assert.is(whole.finished, true);
    assert.is(whole.state.batch, 4);
    const part = await train(2);
    assert.is(part.finished, false);
    assert.ok(part.state.batch > 0 && part.state.batch < 4, `stopped after ${part.state.batch} batches`);
    const rest = await train(Infinity, path);
    await cache.close();

    const untimed = { images: 0, seconds: 0, waitedSeconds: 0, wallSeconds: 0 };
    assert.equal({ ...rest.state, ...untimed }, { ...whole.state, ...untimed });
    for (const kind of ['weights', 'optimizer'] as const) {
      assert.ok(whole.tensors[kind].size > 0);
      for (const [name, { data }] of whole.tensors[kind]) assert.equal(rest.tensors[kind].get(name)!.data, data, name);
    }
  }));

test.run();
