import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { Graph } from '../../engine/graph.js';
import { describeNonFinite } from '../../engine/numerics.js';
import { bceWithLogitsLoss } from '../../engine/ops/bceWithLogitsLoss.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { relu } from '../../engine/ops/relu.js';
import { scale } from '../../engine/ops/scale.js';
import { createOptimizer } from '../../engine/optimizers.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';
import { binary, smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('numerics');

const WEIGHTS = { first: [4, 3, 3, 3], second: [1, 4, 1, 1] } as const;

/** Two convolutions, a loss and SGD, checked; memory poisoned as well, which must not count. */
async function network(on = device) {
  const variables = new Variables(on);
  const [first, second] = Object.entries(WEIGHTS).map(([name, shape]) =>
    variables.declare(name, shape, 'filter', true, () => normal(shape, name)),
  );
  const graph = new Graph();
  const x = graph.input('x', [2, 3, 8, 8]);
  const t = graph.input('t', [2, 1, 8, 8]);
  const z = graph.scope('net', () =>
    conv2d(relu(conv2d(x, graph.read(first), undefined, { padding: 1 })), graph.read(second)),
  );
  const loss = bceWithLogitsLoss(z, t);
  const one = graph.input('one', [1], 'vector');
  const made = gradients([loss], [one], [graph.read(first), graph.read(second)]);
  const optimizer = createOptimizer({ kind: 'sgd' }, variables);
  const { hyper } = optimizer.step(graph, [first, second], made);
  const plan = await Plan.compile(on, graph, { outputs: [loss], checkNumerics: true, poison: true });
  plan.write(x, normal(x.shape, 'x'));
  plan.write(t, binary(t.shape));
  plan.write(one, [1]);
  plan.write(hyper, optimizer.hyperValues(0.1, 1));
  const end = () => {
    plan.destroy();
    variables.destroy();
  };
  return { variables, plan, first, second, x, hyper, end };
}

test('a sound step finds nothing', async () => {
  const { plan, end } = await network();
  plan.run();
  assert.is(await plan.firstNonFinite(), undefined);
  end();
});

test('a poisoned weight is named, and the first op that it spoils', async () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const { variables, plan, second, end } = await network();
    const values = normal(WEIGHTS.second, 'second');
    values[2] = bad;
    variables.set(second, values);
    plan.run();
    const found = (await plan.firstNonFinite())!;
    assert.is(found.op, 'conv2d');
    assert.is(found.value, 'net.conv2d [2, 1, 8, 8]');
    assert.ok(found.count > 0 && found.count <= 128, `${found.count}`);
    assert.equal(found.sources, [{ value: 'the variable second [1, 4, 1, 1]', count: 1 }]);
    assert.match(
      describeNonFinite(found),
      /^the variable second \[1, 4, 1, 1\] came in with 1 number that is not finite; the first op with such a result is conv2d: net\.conv2d \[2, 1, 8, 8\] has \d+ numbers that are not finite$/,
    );
    // The next step starts counting anew, and now both weights are spoilt.
    plan.run();
    assert.is((await plan.firstNonFinite())!.sources.length, 2);
    end();
  }
});

test('a bad input is told from a bad weight; the largest finite number is finite', async () => {
  const { plan, x, end } = await network();
  const photo = normal(x.shape, 'x');
  photo[5] = NaN;
  plan.write(x, photo);
  plan.run();
  const found = (await plan.firstNonFinite())!;
  assert.equal(found.sources, [{ value: 'the input x [2, 3, 8, 8]', count: 1 }]);
  end();

  const graph = new Graph();
  const largest = graph.input('largest', [1, 1, 1, 2]);
  const twice = scale(largest, 2);
  const small = await Plan.compile(device, graph, { outputs: [twice], checkNumerics: true });
  small.write(largest, [3.4028234e38, -3.4028234e38]);
  small.run();
  assert.equal(await small.firstNonFinite(), { op: 'scale', value: 'scale [1, 1, 1, 2]', count: 2, sources: [] });
  small.destroy();
});

test('an update that overflows is found in the parameters', async () => {
  const { plan, hyper, end } = await network();
  plan.write(hyper, [Infinity, 0, 0, 0]);
  plan.run();
  const found = (await plan.firstNonFinite())!;
  assert.is(found.op, 'sgd');
  assert.is(found.value, 'the arena parameters');
  end();
});

test('large tensors are looked at in parts', async () => {
  const { plan, x, end } = await network(smallBindings(device, 2048));
  const photo = normal(x.shape, 'x');
  photo[photo.length - 1] = NaN;
  plan.write(x, photo);
  plan.run();
  assert.equal((await plan.firstNonFinite())!.sources, [{ value: 'the input x [2, 3, 8, 8]', count: 1 }]);
  end();
});

test('a plan without checks says so', async () => {
  const graph = new Graph();
  const plan = await Plan.compile(device, graph, { outputs: [relu(graph.input('x', [1, 1, 1, 1]))] });
  try {
    await plan.firstNonFinite();
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /without checkNumerics/);
  }
  plan.destroy();
});

test.run();
