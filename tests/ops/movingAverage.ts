import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { EMA, movingAverage, movingAverageDecay } from '../../engine/ops/movingAverage.js';
import { relu } from '../../engine/ops/relu.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('movingAverage');

test('the average of all values so far, weighted; parameters and buffers, one chunk and several', async () => {
  for (const on of [device, smallBindings(device, 1280)]) {
    const variables = new Variables(on);
    const declared = [
      variables.declare('weight', [3, 5, 3, 3], 'filter', true, () => []),
      variables.declare('bias', [67], 'vector', true, () => []),
      variables.declare('mean', [65], 'vector', false, () => []),
      variables.declare('variance', [66], 'vector', false, () => []),
    ];
    const graph = new Graph();
    const decay = movingAverage(graph, variables);
    declared.forEach((variable) => variables.set(variable, normal(variable.shape, `${variable.name} 1`)));
    const plan = await Plan.compile(on, graph, { outputs: [] });
    for (let step = 1; step <= 4; step++) {
      declared.forEach((variable) => variables.set(variable, normal(variable.shape, `${variable.name} ${step}`)));
      plan.write(decay, [movingAverageDecay(0.7, step)]);
      plan.run();
    }
    const weights = [0.343, 0.49, 0.7, 1].map((w) => w / 2.533);
    const got = new Map([...(await variables.read('ema')), ...(await variables.read('ema.buffers'))]);
    assert.equal(
      [...got.keys()],
      variables.list.map(({ name }) => name),
    );
    for (const { name, shape } of declared) {
      const steps = [1, 2, 3, 4].map((step) => normal(shape, `${name} ${step}`));
      assertClose(
        name,
        got.get(name)!,
        steps[0].map((_, i) => weights.reduce((sum, w, k) => sum + w * steps[k][i], 0)),
        1e-6,
      );
    }
    if (on !== device) assert.ok(variables.arena('ema').chunks.length > 1);
    plan.destroy();
    variables.destroy();
  }
});

test('a plan can read the average in place of the values', async () => {
  const variables = new Variables(device);
  const weight = variables.declare('weight', [3], 'vector', true, () => [1, 2, -3]);
  const buffer = variables.declare('mean', [2], 'vector', false, () => [4, 5]);
  variables.set(weight, [7, -8, 9], variables.arena(EMA));
  variables.set(buffer, [6, 7], variables.arena(`${EMA}.buffers`));
  const read = async (values: string | undefined) => {
    const graph = new Graph();
    const outputs = [relu(graph.read(weight)), relu(graph.read(buffer))];
    const plan = await Plan.compile(device, graph, { outputs, values });
    plan.run();
    const result = (await plan.read(...outputs)).map((numbers) => [...numbers]);
    plan.destroy();
    return result;
  };
  assert.equal(await read(undefined), [
    [1, 2, 0],
    [4, 5],
  ]);
  assert.equal(await read(EMA), [
    [7, 0, 9],
    [6, 7],
  ]);
  variables.destroy();
});

test.run();
