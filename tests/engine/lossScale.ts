import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Device, DeviceError } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { requireHalves } from '../../engine/halves.js';
import { LossScale, type LossScaleState } from '../../engine/lossScale.js';
import { createOptimizer, type OptimizerSettings } from '../../engine/optimizers.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';
import { smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('lossScale');

/** Three parameters and an optimizer that is given gradients; with `interval`, gradients that carry a loss scale. */
async function optimizer(settings: OptimizerSettings, clipNorm?: number, interval?: number) {
  const variables = new Variables(device);
  const lossScale = interval === undefined ? undefined : new LossScale(device, interval);
  const parameter = variables.declare('p', [3], 'vector', true, () => [1, 2, 3]);
  const graph = new Graph();
  const gradient = graph.input('dp', [3], 'vector');
  const made = createOptimizer(settings, variables);
  const { norm, hyper } = made.step(graph, [parameter], [gradient], { clipNorm, lossScale });
  const seed = lossScale?.seed(graph.input('one', [1], 'vector'));
  const state = lossScale?.tensor(graph);
  const outputs = [norm, ...(seed ? [seed] : [])];
  const plan = await Plan.compile(device, graph, { outputs, poison: true });
  if (seed)
    plan.write(
      graph.inputs.find(({ name }) => name === 'one')!,
      [0.5],
    );
  return {
    lossScale,
    async step(values: readonly number[], step: number) {
      plan.write(gradient, values);
      plan.write(hyper, made.hyperValues(0.1, step));
      plan.run();
      const [[gradientNorm]] = await plan.read(norm);
      return gradientNorm;
    },
    scale: async (): Promise<LossScaleState> => LossScale.read((await plan.read(state!))[0]),
    seed: async () => (await plan.read(seed!))[0][0],
    all: () =>
      Promise.all(['parameters', ...made.stateNames].map(async (name) => [...(await variables.read(name)).get('p')!])),
    end() {
      plan.destroy();
      variables.destroy();
      lossScale?.destroy();
    },
  };
}

const GRADIENT = [0.25, -3, 0.5];

for (const settings of [{ kind: 'sgd', momentum: 0.9 }, { kind: 'adam' }] as const) {
  for (const clipNorm of [undefined, 1]) {
    test(`an update without the scale, ${settings.kind}${clipNorm ? ', clipped' : ''}`, async () => {
      const [plain, scaled] = [await optimizer(settings, clipNorm), await optimizer(settings, clipNorm, 100)];
      const norm = await plain.step(GRADIENT, 1);
      assert.is(
        await scaled.step(
          GRADIENT.map((g) => g * 65536),
          1,
        ),
        norm,
      );
      assert.equal(await scaled.all(), await plain.all());
      assert.equal(await scaled.scale(), { scale: 65536, goodSteps: 1, skippedSteps: 0 });
      plain.end();
      scaled.end();
    });
  }

  test(`a gradient that is not finite changes nothing but the scale, ${settings.kind}`, async () => {
    const run = await optimizer(settings, 1, 100);
    await run.step(GRADIENT, 1);
    const before = await run.all();
    for (const [i, bad] of [Infinity, -Infinity, NaN].entries()) {
      assert.not.ok(Number.isFinite(await run.step([1, bad, 1], 2 + i)));
      assert.equal(await run.scale(), { scale: 65536 / 2 ** (i + 1), goodSteps: 0, skippedSteps: i + 1 });
    }
    assert.equal(await run.all(), before);
    assert.is(await run.step([8192, 0, 0], 5), 1);
    assert.not.equal(await run.all(), before);
    run.end();
  });
}

test('what is not finite in one chunk of memory skips all of them', async () => {
  const small = smallBindings(device, 256);
  const variables = new Variables(small);
  const lossScale = new LossScale(small, 100);
  const parameters = ['a', 'b', 'c'].map((name) =>
    variables.declare(name, [50], 'vector', true, () => normal([50], name)),
  );
  const graph = new Graph();
  const made = createOptimizer({ kind: 'adam' }, variables);
  const { norm, hyper } = made.update(graph, [], { clipNorm: 1, lossScale });
  const state = lossScale.tensor(graph);
  const plan = await Plan.compile(small, graph, { outputs: [norm], poison: true });
  assert.is(variables.arena('gradient').chunks.length, 3);
  const before = await variables.read('parameters');
  plan.write(hyper, made.hyperValues(0.1, 1));
  for (const [i, name] of ['c', 'a', undefined].entries()) {
    for (const parameter of parameters) {
      const values = new Float32Array(50).fill(65536);
      if (parameter.name === name) values[49] = NaN;
      variables.set(parameter, values, variables.arena('gradient'));
    }
    plan.run();
    const [[got], scales] = await plan.read(norm, state);
    if (name) assert.not.ok(Number.isFinite(got), `${name}: ${got}`);
    // The scale was halved twice before.
    else assert.ok(Math.abs(got / (4 * Math.sqrt(150)) - 1) <= 2e-7, `${got}`);
    const skippedSteps = name ? i + 1 : 2;
    assert.equal(LossScale.read(scales), { scale: 65536 / 2 ** skippedSteps, goodSteps: name ? 0 : 1, skippedSteps });
    const after = await variables.read('parameters');
    if (name) assert.equal(after, before);
    else parameters.forEach((parameter) => assert.not.equal(after.get(parameter.name), before.get(parameter.name)));
  }
  plan.destroy();
  variables.destroy();
  lossScale.destroy();
});

test('the scale doubles after as many good steps as it is told, up to 2^24, and the seed follows', async () => {
  const run = await optimizer({ kind: 'sgd' }, undefined, 3);
  const scales: number[] = [];
  for (let step = 1; step <= 7; step++) {
    await run.step(GRADIENT, step);
    scales.push((await run.scale()).scale / 65536);
  }
  assert.equal(scales, [1, 1, 2, 2, 2, 4, 4]);
  // The seed of a step is made with the scale that its gradients are then divided by; here it stands behind the update.
  assert.is(await run.seed(), 0.5 * 4 * 65536);
  run.lossScale!.restore({ scale: 2 ** 24, goodSteps: 2, skippedSteps: 7 });
  await run.step(GRADIENT, 8);
  assert.equal(await run.scale(), { scale: 2 ** 24, goodSteps: 3, skippedSteps: 7 });
  run.end();
});

test('an adapter without f16 is an error that says so', async () => {
  const gpu = Object.create(device.gpu, { features: { value: new Set() } });
  const without = Object.create(device, { gpu: { value: gpu } }) as Device;
  let error: unknown;
  await requireHalves(without).catch((thrown) => (error = thrown));
  assert.instance(error, DeviceError);
  assert.match((error as Error).message, /has no f16 \(shader-f16\); leave --precision f16 out, or choose another/);
  await requireHalves(device);
});

test.run();
