import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { augmentationFloats, identityAugmentation } from '../../engine/augmentation.js';
import { gradients } from '../../engine/autograd.js';
import { Graph } from '../../engine/graph.js';
import { concat } from '../../engine/ops/concat.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { relu } from '../../engine/ops/relu.js';
import { scale } from '../../engine/ops/scale.js';
import { planMemory } from '../../engine/arrange.js';
import { Plan } from '../../engine/plan.js';
import { Random } from '../../engine/random.js';
import { Variables } from '../../engine/variables.js';
import { trainingBytes } from '../../nets/microBatches.js';
import { planOptions, recordTraining, type TrainingSettings, TrainingStep } from '../../nets/trainingStep.js';
import { testDevice } from '../helpers/device.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('recompute');

const settings: TrainingSettings = {
  net: 'unet',
  baseWidth: 4,
  size: 32,
  batch: 2,
  loss: 'bce-dice',
  seed: 3,
  initialisation: 'pytorch',
  optimizer: { kind: 'adam' },
  clipNorm: 1,
};

/** Losses and norms of three steps, then every weight and running statistic; and what the plan says. */
async function train(changes: Partial<TrainingSettings>) {
  const all = { ...settings, ...changes };
  const { batch, size } = all;
  const variables = new Variables(device);
  const step = await TrainingStep.compile(device, variables, all);
  const random = new Random('recompute');
  const pixels = Uint8Array.from({ length: batch * size * size * 4 }, (_, i) => random.integer(i % 4 === 3 ? 2 : 256));
  const one = identityAugmentation();
  const plain = Float32Array.from({ length: batch * augmentationFloats }, (_, i) => one[i % augmentationFloats]);
  const results = [];
  for (let i = 1; i <= 3; i++) {
    step.run(pixels, plain, 1e-2, i);
    results.push(await step.result());
  }
  const state = [await variables.read('parameters'), await variables.read('buffers')];
  const { recomputed, memory } = step.plan;
  step.destroy();
  variables.destroy();
  return { results, state, recomputed, memory };
}

for (const [name, changes, wanted] of [
  ['unet', {}, { 'batchNorm2dEvaluation+relu': 17, convTranspose2d: 4 }],
  ['unet, every op by itself', { fuse: false }, undefined],
  ['unet with dropout, in micro-batches', { net: 'unet-dropout', batch: 4, microBatches: 2 }, undefined],
  ['unet, bilinear', { net: 'unet-bilinear', loss: 'ce' }, undefined],
  ['resnet34-unet', { net: 'resnet34-unet' }, undefined],
  ['resnet34-unet with a bridge', { net: 'resnet34-unet-bridge-dropout' }, undefined],
] as const) {
  test(`${name}: the same bits in less memory`, async () => {
    const kept = await train(changes);
    const again = await train({ ...changes, checkpointActivations: true });
    assert.ok(kept.results.every(({ loss, gradientNorm }) => Number.isFinite(loss) && gradientNorm > 0));
    assert.equal(again.results, kept.results);
    assert.equal(again.state, kept.state);
    assert.equal(kept.recomputed, {});
    assert.ok(Object.keys(again.recomputed).length > 0);
    if (wanted) assert.equal(again.recomputed, wanted);
    assert.ok(again.memory.peak < kept.memory.peak, `${again.memory.peak} and ${kept.memory.peak} bytes`);
    assert.ok(again.memory.transient < kept.memory.transient);
  });
}

// PyTorch takes 14.5 GB for this step.
test('the full UNet at 256x256, batch 32, takes less than 12 GB, and less than 7 GB computing again', () => {
  const full = { ...settings, baseWidth: 64, size: 256, batch: 32 };
  const bytes = [false, true].map((checkpointActivations) => trainingBytes(device, { ...full, checkpointActivations }));
  assert.ok(bytes[0] < 12e9, `${bytes[0]} bytes`);
  assert.ok(bytes[1] < 7e9, `${bytes[1]} bytes`);
});

test('a value is left alone where its sources would have to be kept for it, and where it is shown', async () => {
  const build = (shown: boolean) => {
    const graph = new Graph();
    const x = graph.input('x', [1, 4, 8, 8]);
    const w = graph.input('w', [4, 4, 3, 3], 'filter');
    const next = (from: typeof x) => conv2d(from, w, undefined, { padding: 1 });
    // Nobody needs the convolution's result but ReLU, whose gradient needs its own.
    const y = relu(next(scale(x, 1)));
    const [dx] = gradients([next(y)], [graph.input('seed', y.shape)], [x]);
    return { graph, outputs: shown ? [y, dx] : [dx] };
  };
  for (const shown of [false, true]) {
    const { graph, outputs } = build(shown);
    const plan = await Plan.compile(device, graph, { outputs, checkpointActivations: true, poison: true });
    assert.equal(plan.recomputed, {});
    plan.destroy();
  }
});

test('what is read far apart is computed for each reader, from values that are there', async () => {
  const values: Float32Array[] = [];
  const counts: Record<string, number>[] = [];
  for (const checkpointActivations of [false, true]) {
    const graph = new Graph();
    const x = graph.input('x', [1, 4, 6, 6]);
    const w = graph.input('w', [4, 4, 1, 1], 'filter');
    const wide = graph.input('wide', [4, 8, 1, 1], 'filter');
    const a = relu(x);
    let y = conv2d(a, w);
    for (let i = 0; i < 12; i++) y = conv2d(y, w);
    // Far from the end, and from what else reads a.
    y = conv2d(concat([a, y]), wide);
    for (let i = 0; i < 16; i++) y = scale(y, 0.9);
    const made = gradients([y], [graph.input('seed', y.shape)], [x, w, wide]);
    const plan = await Plan.compile(device, graph, { outputs: made, checkpointActivations, poison: true, fuse: false });
    for (const input of graph.inputs) plan.write(input, normal(input.shape, input.name, 0.3));
    plan.run();
    values.push(...(await plan.read(...made)));
    counts.push({ ...plan.recomputed });
    plan.destroy();
  }
  assert.equal(counts, [{}, { relu: 2, concat: 1 }]);
  assert.equal(values.slice(3), values.slice(0, 3));
});

test('an evaluation, which has no backward pass, is left as it is', () => {
  const graph = new Graph();
  const y = relu(graph.input('x', [1, 4, 8, 8]));
  const options = { outputs: [y], checkpointActivations: true };
  assert.equal(planMemory(device, graph, options), planMemory(device, graph, { outputs: [y] }));
  const { pass } = recordTraining(new Variables(device), { ...settings, checkpointActivations: true });
  const less = planMemory(device, pass.graph, {
    ...planOptions({ ...settings, checkpointActivations: true }),
    ...pass,
  });
  assert.ok(less.peak < planMemory(device, pass.graph, { ...planOptions(settings), ...pass }).peak);
});

test.run();
