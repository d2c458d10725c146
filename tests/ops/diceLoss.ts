import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { diceLoss } from '../../engine/ops/diceLoss.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { assertClose, binary, checkShapes, passOf } from '../helpers/pass.js';
import { checkGradients, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('diceLoss');

const probabilities = (shape: readonly number[]) => normal(shape, 'p').map((x) => 1 / (1 + Math.exp(-x)));

for (const op of ['dice_loss', 'sigmoid_bce_dice', 'sigmoid_bcelogits_dice']) {
  for (const golden of goldenCases(op)) test(`golden ${golden.name}`, () => checkOpCase(device, golden));
}

for (const options of [
  { perImage: false, epsNum: 0, epsDen: 1e-8 },
  { perImage: true, epsNum: 1, epsDen: 1 },
]) {
  const kind = options.perImage ? 'per image' : 'over the batch';
  test(`odd shapes ${kind}, forward and backward`, () =>
    checkShapes(
      device,
      (shape) => ({
        x: { shape, values: probabilities(shape) },
        t: { shape, values: binary(shape) },
        dy: { shape: [1], layout: 'vector', values: [1.5] },
      }),
      ({ x, t }) => diceLoss(x, t, options),
      ([n], { x: p, t, dy }) => {
        const rows = options.perImage ? n : 1;
        const length = p.length / rows;
        const dx = new Float64Array(p.length);
        let loss = 0;
        for (let row = 0; row < rows; row++) {
          let [pt, sum] = [0, 0];
          for (let i = row * length; i < (row + 1) * length; i++) {
            pt += p[i] * t[i];
            sum += p[i] + t[i];
          }
          const [above, below] = [2 * pt + options.epsNum, sum + options.epsDen];
          loss += (1 - above / below) / rows;
          for (let i = row * length; i < (row + 1) * length; i++) {
            dx[i] = ((dy[0] / rows) * (above / below - 2 * t[i])) / below;
          }
        }
        return { y: [loss], dx };
      },
    ));

  test(`gradient by finite differences ${kind}`, async () => {
    const shape = [2, 1, 5, 7];
    const given = { p: { shape, values: probabilities(shape) }, t: { shape, values: binary(shape) } };
    await checkGradients(device, given, ({ p, t }) => diceLoss(p, t, options), ['p'], { step: 0.02 });
  });
}

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
});

test.run();
