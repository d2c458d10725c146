import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { Graph } from '../../engine/graph.js';
import { accumulateGradients } from '../../engine/ops/accumulateGradients.js';
import { bceWithLogitsLoss } from '../../engine/ops/bceWithLogitsLoss.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { relu } from '../../engine/ops/relu.js';
import { createOptimizer, placeGradients } from '../../engine/optimizers.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, binary, smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('accumulateGradients');

const SHAPES = { first: [5, 3, 3, 3], bias: [5], second: [1, 5, 1, 1] } as const;
const BATCH = 6;
const x = normal([BATCH, 3, 7, 9], 'x');
const t = binary([BATCH, 1, 7, 9]);

/** Two convolutions without batch norm, so that a batch is nothing but its images; parameters after two updates. */
async function train(on: typeof device, parts: number, spoilt?: { step: number; part: number }) {
  const variables = new Variables(on);
  const parameters = Object.entries(SHAPES).map(([name, shape]) =>
    variables.declare(name, shape, shape.length === 4 ? 'filter' : 'vector', true, () => normal(shape, name)),
  );
  const images = BATCH / parts;
  const graph = new Graph();
  const [photo, mask] = [graph.input('x', [images, 3, 7, 9]), graph.input('t', [images, 1, 7, 9])];
  const [first, bias, second] = parameters.map((parameter) => graph.read(parameter));
  const loss = bceWithLogitsLoss(conv2d(relu(conv2d(photo, first, bias)), second, undefined, { padding: 1 }), mask);
  const one = graph.input('one', [1], 'vector');
  const made = gradients([loss], [one], [first, bias, second]);
  const { control, loss: mean } = accumulateGradients(
    variables,
    placeGradients(graph, variables, parameters, made),
    loss,
  );
  const update = new Graph();
  const optimizer = createOptimizer({ kind: 'sgd' }, variables);
  const { norm, hyper } = optimizer.update(update, [], { clipNorm: 0.5 });
  const pass = await Plan.compile(on, graph, { outputs: [], poison: true });
  const last = await Plan.compile(on, update, { outputs: [norm], poison: true });
  pass.write(one, [1 / parts]);
  const results: number[][] = [];
  for (let step = 1; step <= 2; step++) {
    for (let part = 0; part < parts; part++) {
      const of = (values: Float32Array) =>
        values.slice((part * values.length) / parts, ((part + 1) * values.length) / parts);
      const masks = of(t);
      if (spoilt?.step === step && spoilt.part === part) masks[0] = NaN;
      pass.write(photo, of(x));
      pass.write(mask, masks);
      pass.write(control, [part === 0 ? 0 : 1, 1 / parts]);
      pass.run();
    }
    last.write(hyper, optimizer.hyperValues(spoilt?.step === step ? 0 : 1, step));
    if (spoilt?.step !== step) last.run();
    const [[lossValue]] = await pass.read(mean);
    const [[normValue]] = await last.read(norm);
    results.push([lossValue, normValue]);
  }
  const gradient = await variables.read('gradient');
  const values = await variables.read('parameters');
  const chunks = variables.arena('gradient').chunks.length;
  [pass, last].forEach((plan) => plan.destroy());
  variables.destroy();
  return { results, gradient, values, chunks };
}

test('micro-batches give loss, norm, clipped gradients and updates of the whole batch', async () => {
  const whole = await train(device, 1);
  for (const [on, parts] of [
    [device, 2],
    [device, 3],
    [device, 6],
    [smallBindings(device, 1280), 3],
  ] as const) {
    const got = await train(on, parts);
    assert.is(got.chunks > 1, on !== device);
    got.results.forEach((result, i) => assertClose(`loss and norm of ${parts} parts`, result, whole.results[i], 2e-6));
    for (const name of Object.keys(SHAPES)) {
      assertClose(`gradient of ${name}`, got.gradient.get(name)!, whole.gradient.get(name)!, 5e-6);
      assertClose(name, got.values.get(name)!, whole.values.get(name)!, 2e-6);
    }
  }
});

test('two runs give the same bits', async () => assert.equal(await train(device, 3), await train(device, 3)));

test('what is not a number in one step does not live on in the next', async () => {
  const { results, values } = await train(device, 3, { step: 1, part: 1 });
  assert.ok(Number.isNaN(results[0][0]));
  assert.ok(Number.isFinite(results[1][0]) && Number.isFinite(results[1][1]), String(results));
  for (const [name, numbers] of values) assert.ok(numbers.every(Number.isFinite), name);
});

test.run();
