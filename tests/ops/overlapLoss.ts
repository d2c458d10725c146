import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph, type Tensor } from '../../engine/graph.js';
import { diceLoss, jaccardLoss, type OverlapOptions, tverskyLoss } from '../../engine/ops/overlapLoss.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { assertClose, binary, checkShapes, passOf } from '../helpers/pass.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('overlapLoss');

const probabilities = (shape: readonly number[]) => normal(shape, 'p').map((x) => 1 / (1 + Math.exp(-x)));

for (const op of ['dice_loss', 'sigmoid_bce_dice', 'sigmoid_bcelogits_dice']) {
  for (const golden of goldenCases(op)) test(`golden ${golden.name}`, () => checkOpCase(device, golden));
}

interface Ratio {
  above: number;
  /** Of sum(p t), sum(p), sum(t). */
  below: readonly [number, number, number];
}

/** In float64: 1 - (above pt + epsNum) / (below . (pt, p, t) + epsDen), averaged over rows, and its gradient. */
function reference(ratio: Ratio, { perImage, epsNum = 0, epsDen = 1e-8 }: OverlapOptions) {
  return ([n]: readonly number[], { x: p, t, dy }: Record<string, ArrayLike<number>>) => {
    const rows = perImage ? n : 1;
    const length = p.length / rows;
    const dx = new Float64Array(p.length);
    let loss = 0;
    for (let row = 0; row < rows; row++) {
      const sums = [0, 0, 0];
      for (let i = row * length; i < (row + 1) * length; i++) {
        [p[i] * t[i], p[i], t[i]].forEach((term, k) => (sums[k] += term));
      }
      const above = ratio.above * sums[0] + epsNum;
      const below = ratio.below.reduce((sum, factor, k) => sum + factor * sums[k], epsDen);
      loss += (1 - above / below) / rows;
      for (let i = row * length; i < (row + 1) * length; i++) {
        const dBelow = ratio.below[0] * t[i] + ratio.below[1];
        dx[i] = ((dy[0] / rows) * ((above / below) * dBelow - ratio.above * t[i])) / below;
      }
    }
    return { y: [loss], dx };
  };
}

const LOSSES = {
  dice: { record: diceLoss, above: 2, below: [0, 1, 1] },
  jaccard: { record: jaccardLoss, above: 1, below: [-1, 1, 1] },
  tversky: {
    record: (p: Tensor, t: Tensor, options: OverlapOptions) => tverskyLoss(p, t, { ...options, alpha: 0.3, beta: 0.7 }),
    above: 1,
    below: [0, 0.3, 0.7],
  },
  'tversky of uneven sum': {
    record: (p: Tensor, t: Tensor, options: OverlapOptions) => tverskyLoss(p, t, { ...options, alpha: 0.2, beta: 2 }),
    above: 1,
    below: [-1.2, 0.2, 2],
  },
} as const;

for (const [name, loss] of Object.entries(LOSSES)) {
  for (const options of [
    { perImage: false, epsNum: 0, epsDen: 1e-8 },
    { perImage: true, epsNum: 1, epsDen: 1 },
  ]) {
    const kind = `${name} ${options.perImage ? 'per image' : 'over the batch'}`;
    test(`${kind}: odd shapes, forward and backward`, () =>
      checkShapes(
        device,
        (shape) => ({
          x: { shape, values: probabilities(shape) },
          t: { shape, values: binary(shape) },
          dy: { shape: [1], layout: 'vector', values: [1.5] },
        }),
        ({ x, t }) => loss.record(x, t, options),
        reference(loss, options),
      ));

    test(`${kind}: gradient by finite differences`, async () => {
      const shape = [2, 1, 5, 7];
      const given = { p: { shape, values: probabilities(shape) }, t: { shape, values: binary(shape) } };
      await checkGradients(device, given, ({ p, t }) => loss.record(p, t, options), ['p'], { step: 0.02 });
    });
  }
}

test('Tversky with both costs one half is Dice, with both one Jaccard', async () => {
  const shape = [2, 1, 9, 8];
  const given = { p: { shape, values: probabilities(shape) }, t: { shape, values: binary(shape) } };
  const [half, dice, one, jaccard] = await evaluate(
    device,
    given,
    ({ p, t }) =>
      [
        tverskyLoss(p, t, { alpha: 0.5, beta: 0.5 }),
        diceLoss(p, t),
        tverskyLoss(p, t, { alpha: 1, beta: 1 }),
        jaccardLoss(p, t),
      ] as const,
  );
  assertClose('Dice', half, dice, 1e-6);
  assertClose('Jaccard', one, jaccard, 1e-6);
});

test('empty target and empty prediction: loss 1 without a numerator, 0 with both epsilons 1', async () => {
  const shape = [1, 1, 3, 3];
  const zeros = new Float32Array(9);
  const given = {
    x: { shape, values: zeros },
    t: { shape, values: zeros },
    dy: { shape: [1], layout: 'vector' as const, values: [1] },
  };
  const bare = await passOf(device, given, ({ x, t }) => diceLoss(x, t));
  assert.equal([...bare.y], [1]);
  const smooth = await passOf(device, given, ({ x, t }) => diceLoss(x, t, { epsNum: 1, epsDen: 1 }));
  assertClose('loss', smooth.y, [0]);
  assertClose('gradient', smooth.dx, new Array(9).fill(1));
});

test('errors', () => {
  const graph = new Graph();
  const p = graph.input('p', [1, 1, 4, 4]);
  assert.throws(() => diceLoss(p, graph.input('t', [2, 1, 4, 4])), /diceLoss: prediction p .* different shapes/);
  assert.throws(() => diceLoss(p, p, { epsDen: -1 }), /epsDen -1 must not be negative/);
  assert.throws(() => jaccardLoss(p, p, { epsNum: NaN }), /jaccardLoss: epsNum NaN/);
  assert.throws(
    () => tverskyLoss(p, p, { alpha: -0.1, beta: 1 }),
    /tverskyLoss: alpha -0.1 and beta 1 must be numbers from 0 on/,
  );
});

test.run();
