import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph, type Tensor } from '../../engine/graph.js';
import { elementCount, type Shape } from '../../engine/layout.js';
import { add } from '../../engine/ops/add.js';
import { bceWithLogitsLoss } from '../../engine/ops/bceWithLogitsLoss.js';
import { diceLoss, jaccardLoss } from '../../engine/ops/overlapLoss.js';
import { scale } from '../../engine/ops/scale.js';
import { segmentationCounts } from '../../engine/ops/segmentationCounts.js';
import { sigmoid } from '../../engine/ops/sigmoid.js';
import { Plan } from '../../engine/plan.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, binary, smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('segmentationSums');

/** A loss of logits and targets, and whatever else is shown. */
type Build = (z: Tensor, t: Tensor) => readonly [loss: Tensor, ...shown: Tensor[]];

/** One step on poisoned memory: what `build` gives, and the gradient of its loss for the logits. */
async function run(build: Build, shape: Shape, { on = device, fuse = true } = {}) {
  const graph = new Graph();
  const z = graph.input('z', shape);
  const t = graph.input('t', shape);
  const results = build(z, t);
  const seed = graph.input('seed', [1], 'vector');
  const [dz] = gradients([results[0]], [seed], [z]);
  const plan = await Plan.compile(on, graph, { outputs: [...results, dz], poison: true, fuse });
  const logits = normal(shape, 'z', 3);
  const targets = binary(shape);
  // One that is surely right, one surely wrong, one on the threshold; a pixel in seven is ignored.
  [90, -90, 0.25].slice(0, elementCount(shape)).forEach((value, i) => (logits[i] = value));
  plan.write(z, logits);
  plan.write(
    t,
    targets.map((value, i) => (i % 7 === 3 ? -1 : value)),
  );
  plan.write(seed, [1.5]);
  plan.run();
  const values = await plan.read(...results, dz);
  const { fused, dispatchCount } = plan;
  plan.destroy();
  return { values, fused, dispatchCount };
}

const counts = (z: Tensor, t: Tensor) => segmentationCounts(z, t, { threshold: 0.25 });
const ofImages = { perImage: true, epsNum: 1, epsDen: 1 };
const BOTH = { segmentationSums: 1, segmentationSumsGradient: 1 };

const cases: { name: string; build: Build; fused: Record<string, number> }[] = [
  {
    name: 'cross entropy, Dice of each image and counts',
    build: (z, t) => [add(bceWithLogitsLoss(z, t), diceLoss(sigmoid(z), t, ofImages)), counts(z, t)],
    fused: BOTH,
  },
  {
    name: 'weighted Dice of the batch, counts, weighted cross entropy, in this order',
    build: (z, t) => {
      const dice = scale(diceLoss(sigmoid(z), t), 0.5);
      const counted = counts(z, t);
      return [add(dice, bceWithLogitsLoss(z, t, { positiveWeight: 3 })), counted];
    },
    fused: BOTH,
  },
  { name: 'the sums of Jaccard alone', build: (z, t) => [jaccardLoss(sigmoid(z), t)], fused: BOTH },
  {
    name: 'cross entropy and counts',
    build: (z, t) => [bceWithLogitsLoss(z, t), counts(z, t)],
    fused: { segmentationSums: 1 },
  },
  {
    name: 'Dice beside a cross entropy whose gradient someone reads',
    build: (z, t) => {
      const other = scale(z, 2);
      return [add(diceLoss(sigmoid(z), t), bceWithLogitsLoss(other, t)), counts(z, t)];
    },
    fused: BOTH,
  },
  {
    name: 'probabilities that are shown stay',
    build: (z, t) => {
      const p = sigmoid(z);
      return [add(bceWithLogitsLoss(z, t), diceLoss(p, t)), counts(z, t), p];
    },
    fused: { segmentationSums: 1 },
  },
  {
    name: 'two losses of the same probabilities stay',
    build: (z, t) => {
      const p = sigmoid(z);
      return [add(diceLoss(p, t), jaccardLoss(p, t))];
    },
    fused: {},
  },
  { name: 'cross entropy alone stays', build: (z, t) => [bceWithLogitsLoss(z, t)], fused: {} },
];

for (const { name, build, fused } of cases) {
  test(`${name}: odd shapes, as in passes of their own`, async () => {
    for (const shape of [
      [1, 1, 1, 1],
      [3, 1, 7, 11],
      [2, 1, 41, 53],
      [67, 1, 5, 3],
    ]) {
      const got = await run(build, shape);
      const wanted = await run(build, shape, { fuse: false });
      assert.equal(got.fused, fused);
      wanted.values.forEach((values, i) => assertClose(`value ${i} for [${shape}]`, got.values[i], values, 1e-5));
      assert.equal(await run(build, shape), got, 'two runs give the same bits');
    }
  });
}

test('a batch split over bindings, longer sums, and the workgroups of a graphics card', async () => {
  const [{ build }] = cases;
  const gpu: Device = Object.assign(Object.create(device), { traits: { ...device.traits, cpu: false } });
  for (const [on, shape] of [
    [smallBindings(device, 4096), [5, 1, 8, 8]],
    [device, [1, 1, 300, 301]],
    [gpu, [2, 1, 300, 301]],
  ] as const) {
    const got = await run(build, shape, { on });
    const wanted = await run(build, shape, { fuse: false });
    wanted.values.forEach((values, i) => assertClose(`value ${i} for [${shape}]`, got.values[i], values));
  }
});

test('logits of two channels stay', async () => {
  const build: Build = (z, t) => [add(bceWithLogitsLoss(z, t), diceLoss(sigmoid(z), t))];
  assert.equal((await run(build, [2, 2, 3, 5])).fused, {});
});

test('fewer dispatches than half of those of the ops one by one', async () => {
  const [{ build }] = cases;
  const of = async (fuse: boolean) => (await run(build, [2, 1, 41, 53], { fuse })).dispatchCount;
  assert.ok((await of(true)) < (await of(false)) / 2);
});

test.run();
