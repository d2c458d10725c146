import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { Graph, type Tensor } from '../../engine/graph.js';
import { sigmoidOp } from '../../engine/ops/sigmoid.js';
import { SettingsError } from '../../engine/settings.js';
import { checkLossClasses, lossClasses, type LossName, losses, recordLoss, resolveLoss } from '../../nets/losses.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, binary } from '../helpers/pass.js';
import { checkGradients, evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('losses');
const names = Object.keys(losses) as LossName[];

const given = (classes: number, n = 2) => ({
  z: { shape: [n, classes, 7, 9], values: normal([n, classes, 7, 9], 'z', 2) },
  t: { shape: [n, 1, 7, 9], values: binary([n, 1, 7, 9]) },
});

/** Every loss with its defaults, in float64. */
const references: Record<LossName, (z: Float32Array, t: Float32Array) => number> = {
  ce: (z, t) => {
    const pixels = t.length / 2;
    return mean(t, (label, i) => {
      const at = Math.floor(i / pixels) * 2 * pixels + (i % pixels);
      const other = z[at + pixels] - z[at];
      return Math.log1p(Math.exp(label ? -other : other));
    });
  },
  bce: (z, t) => mean(t, (label, i) => bce(z[i], label)),
  dice: (z, t) => overlap(z, t, (pt, p, s) => (2 * pt + 1) / (p + s + 1)),
  'bce-dice': (z, t) => references.bce(z, t) + references.dice(z, t),
  'bce-logits-of-sigmoid': (z, t) => mean(t, (label, i) => bce(probability(z[i]), label)),
  'bce-logits-of-sigmoid-dice': (z, t) => references['bce-logits-of-sigmoid'](z, t) + references.dice(z, t),
  focal: (z, t) =>
    mean(t, (label, i) => {
      const wrong = label ? 1 - probability(z[i]) : probability(z[i]);
      return (label ? 0.25 : 0.75) * wrong ** 2 * bce(z[i], label);
    }),
  tversky: (z, t) => overlap(z, t, (pt, p, s) => (pt + 1) / (pt + 0.3 * (p - pt) + 0.7 * (s - pt) + 1)),
  jaccard: (z, t) => overlap(z, t, (pt, p, s) => (pt + 1) / (p + s - pt + 1)),
};

const probability = (z: number) => 1 / (1 + Math.exp(-z));
const bce = (z: number, label: number) => Math.log1p(Math.exp(label ? -z : z));
const mean = (t: Float32Array, f: (label: number, i: number) => number) =>
  t.reduce((sum, label, i) => sum + f(label, i), 0) / t.length;

/** 1 - ratio(sum of p t, of p, of t) of each of two images, averaged. */
function overlap(z: Float32Array, t: Float32Array, ratio: (pt: number, p: number, t: number) => number): number {
  const half = t.length / 2;
  const one = (from: number) => {
    let [pt, ps, ts] = [0, 0, 0];
    for (let i = from; i < from + half; i++) {
      const p = probability(z[i]);
      pt += p * t[i];
      ps += p;
      ts += t[i];
    }
    return 1 - ratio(pt, ps, ts);
  };
  return (one(0) + one(half)) / 2;
}

for (const name of names) {
  test(`${name}: value and gradient`, async () => {
    const inputs = given(lossClasses(name));
    const build = ({ z, t }: Record<string, Tensor>) => recordLoss(z, t, name);
    const [loss] = await evaluate(device, inputs, (tensors) => [build(tensors)] as const);
    assertClose(name, loss, [references[name](inputs.z.values, inputs.t.values)], 1e-5);
    await checkGradients(device, inputs, build, ['z'], { step: 0.03 });
  });
}

/** The logits and targets of the pixels that count, whose number is that of the other image's. */
function withoutIgnored(z: Float32Array, t: Float32Array, classes: number): { z: Float32Array; t: Float32Array } {
  const pixels = t.length / 2;
  const counts = (_: number, i: number) => t[Math.floor(i / (classes * pixels)) * pixels + (i % pixels)] >= 0;
  return { z: z.filter(counts), t: t.filter((label) => label >= 0) };
}

for (const name of names) {
  test(`${name}: ignored pixels are in neither value nor gradient`, async () => {
    const classes = lossClasses(name);
    const inputs = given(classes);
    const t = inputs.t.values.map((label, i) => (i % 63 < 20 && i % 3 === 0 ? -1 : label));
    const marked = { ...inputs, t: { ...inputs.t, values: t } };
    const build = (x: Record<string, Tensor>) => recordLoss(x.z, x.t, name, { ignoring: true });
    const [loss] = await evaluate(device, marked, (tensors) => [build(tensors)] as const);
    const others = withoutIgnored(inputs.z.values, t, classes);
    assertClose(name, loss, [references[name](others.z, others.t)], 1e-5);
    await checkGradients(device, marked, build, ['z'], { step: 0.03 });
    const seeded = { ...marked, one: { shape: [1], layout: 'vector' as const, values: [1] } };
    const [slope] = await evaluate(device, seeded, (x) => gradients([build(x)], [x.one], [x.z]));
    slope.forEach((value, i) => {
      const ignored = t[Math.floor(i / (classes * 63)) * 63 + (i % 63)] < 0;
      assert.is(value === 0, ignored, `pixel ${i}: ${value}`);
    });
  });
}

test('weights of the parts', async () => {
  const inputs = given(1);
  const { values: z } = inputs.z;
  const { values: t } = inputs.t;
  const [loss] = await evaluate(
    device,
    inputs,
    (x) => [recordLoss(x.z, x.t, { name: 'bce-dice', bce: { weight: 0.25 }, dice: { weight: 3 } })] as const,
  );
  assertClose('loss', loss, [0.25 * references.bce(z, t) + 3 * references.dice(z, t)], 1e-5);
});

test('Dice over the batch, positive weight', async () => {
  const inputs = given(1);
  const { values: z } = inputs.z;
  const { values: t } = inputs.t;
  const [dice, weighted] = await evaluate(
    device,
    inputs,
    (x) =>
      [
        recordLoss(x.z, x.t, { name: 'dice', dice: { per: 'batch', epsNum: 0, epsDen: 1e-8 } }),
        recordLoss(x.z, x.t, { name: 'bce', bce: { positiveWeight: 3 } }),
      ] as const,
  );
  let [pt, ps, ts] = [0, 0, 0];
  z.forEach((logit, i) => {
    pt += probability(logit) * t[i];
    ps += probability(logit);
    ts += t[i];
  });
  assertClose('dice', dice, [1 - (2 * pt) / (ps + ts)], 1e-5);
  assertClose('bce', weighted, [mean(t, (label, i) => (label ? 3 : 1) * bce(z[i], label))], 1e-5);
});

test('the sigmoid is recorded once', () => {
  const graph = new Graph();
  recordLoss(graph.input('z', [1, 1, 4, 4]), graph.input('t', [1, 1, 4, 4]), 'bce-logits-of-sigmoid-dice');
  assert.is(graph.nodes.filter(({ op }) => op === sigmoidOp).length, 1);
});

test('settings are filled in, and can be read again', () => {
  assert.equal(resolveLoss('bce-dice'), {
    name: 'bce-dice',
    bce: { weight: 1, positiveWeight: 1 },
    dice: { weight: 1, per: 'image', epsNum: 1, epsDen: 1 },
  });
  for (const name of names) assert.equal(resolveLoss(resolveLoss(name)), resolveLoss(name));
  assert.is((resolveLoss({ name: 'focal', focal: { alpha: null } }) as { focal: { alpha: null } }).focal.alpha, null);
});

test('settings that cannot be are refused by key', () => {
  const refused = (settings: unknown, message: RegExp) => {
    assert.throws(
      () => resolveLoss(settings),
      (error: Error) => error instanceof SettingsError && message.test(error.message),
    );
  };
  refused('dicee', /^loss\.name: "dicee" is no loss; known are ce, bce, bce-dice/);
  refused('toString', /^loss\.name: "toString" is no loss/);
  refused(3, /^loss: 3 is not an object/);
  refused({ name: 'bce', dice: {} }, /^loss\.dice: the loss bce has no part of this name; its parts are bce$/);
  refused({ name: 'dice', dice: { per: 'images' } }, /^loss\.dice\.per: "images" is not one of image, batch/);
  refused(
    { name: 'dice', dice: { smooth: 1 } },
    /^loss\.dice\.smooth: unknown key; known are weight, per, epsNum, epsDen/,
  );
  refused({ name: 'bce', bce: { weight: 0 } }, /^loss\.bce\.weight: 0 is not a number above 0/);
  refused({ name: 'focal', focal: { alpha: 2 } }, /^loss\.focal\.alpha: 2 is not a number from 0 to 1, or null/);
  refused({ name: 'bce', bce: 'heavy' }, /^loss\.bce: "heavy" is not an object/);
});

test('two classes with a loss of one, and the other way round', () => {
  const other = 'use classes 1, or a loss of: ce';
  assert.throws(() => checkLossClasses('bce', 2), new RegExp(`^classes: 2, but the loss bce needs 1; ${other}$`));
  assert.throws(
    () => checkLossClasses('ce', 1),
    /^classes: 1, but the loss ce needs 2; use classes 2, or a loss of: bce, bce-dice/,
  );
  assert.throws(() => checkLossClasses('ce', 3), /^classes: 3, but the loss ce needs 2; use classes 2$/);
  checkLossClasses({ name: 'dice' }, 1);
  const graph = new Graph();
  assert.throws(
    () => recordLoss(graph.input('z', [1, 2, 4, 4]), graph.input('t', [1, 1, 4, 4]), 'dice'),
    /the loss dice needs 1/,
  );
});

test.run();
