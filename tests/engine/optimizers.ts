import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GoldenTensors, readIndex } from '../../cli/verify/golden.js';
import { runOptimizerCase } from '../../cli/verify/optimizers.js';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { add } from '../../engine/ops/add.js';
import { bceWithLogitsLoss } from '../../engine/ops/bceWithLogitsLoss.js';
import { relu } from '../../engine/ops/relu.js';
import { createOptimizer, type OptimizerSettings } from '../../engine/optimizers.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';
import { goldenDirectory } from '../helpers/golden.js';
import { assertClose, smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('optimizers');

for (const golden of readIndex(goldenDirectory).filter(({ kind }) => kind === 'optimizer')) {
  test(`golden ${golden.name}`, async () => {
    const verdicts = await runOptimizerCase(device, new GoldenTensors(goldenDirectory, golden));
    assert.ok(verdicts.length >= 5, `${golden.name} compares ${verdicts.length} tensors`);
    const wrong = verdicts.filter(({ ratio }) => !(ratio <= 1));
    assert.is(
      wrong.map(({ tensor, ratio, where }) => `${tensor}: ${ratio} times the tolerance, ${where}`).join('\n'),
      '',
    );
  });
}

const SHAPES = { a: [5, 3, 3, 3], b: [13], c: [2, 7, 1, 1] } as const;

function declare(variables: Variables) {
  return Object.entries(SHAPES).map(([name, shape]) =>
    variables.declare(name, shape, shape.length === 4 ? 'filter' : 'vector', true, () => normal(shape, name)),
  );
}

/** Three steps with given gradients; parameters, state and norms afterwards. */
async function train(on: Device, settings: OptimizerSettings, clipNorm?: number) {
  const variables = new Variables(on);
  const parameters = declare(variables);
  const graph = new Graph();
  const inputs = parameters.map(({ name, shape, layout }) => graph.input(`d${name}`, shape, layout));
  const optimizer = createOptimizer(settings, variables);
  const { norm, hyper } = optimizer.step(graph, parameters, inputs, { clipNorm });
  const plan = await Plan.compile(on, graph, { outputs: [norm], poison: true });
  const norms: number[] = [];
  for (let step = 1; step <= 3; step++) {
    inputs.forEach((input) => plan.write(input, normal(input.shape, `${input.name} ${step}`)));
    plan.write(hyper, optimizer.hyperValues(0.1, step));
    plan.run();
    norms.push((await plan.read(norm))[0][0]);
  }
  const values = await variables.read('parameters');
  const state = await Promise.all(optimizer.stateNames.map((name) => variables.read(name)));
  const chunks = variables.arena('parameters').chunks.length;
  plan.destroy();
  variables.destroy();
  return { values, state, norms, chunks };
}

test('several chunks of memory give what one gives', async () => {
  for (const settings of [{ kind: 'sgd', momentum: 0.9 }, { kind: 'adamw' }] as const) {
    const one = await train(device, settings, 2);
    const several = await train(smallBindings(device, 1200), settings, 2);
    assert.is(one.chunks, 1);
    assert.ok(several.chunks > 1, `${several.chunks} chunks`);
    assertClose('norms', several.norms, one.norms, 1e-6);
    for (const name of Object.keys(SHAPES)) assertClose(name, several.values.get(name)!, one.values.get(name)!, 1e-6);
  }
});

test('the norm is that of all gradients together, before clipping; two runs give the same bits', async () => {
  const once = await train(device, { kind: 'adam' }, 0.5);
  const expected = [1, 2, 3].map((step) => {
    const all = Object.entries(SHAPES).flatMap(([name, shape]) => [...normal(shape, `d${name} ${step}`)]);
    return Math.sqrt(all.reduce((sum, g) => sum + g * g, 0));
  });
  assertClose('norms', once.norms, expected, 1e-6);
  assert.equal(await train(device, { kind: 'adam' }, 0.5), once);
});

test('norm, clipping and update are two dispatches a chunk; several workgroups do what float64 does', async () => {
  // More than 2048 vec4f a workgroup of eight invocations, and a rest.
  const sizes = [20011, 9001];
  const start = sizes.map((size, i) => normal([size], `p${i}`));
  const given = sizes.map((size, i) => normal([size], `d${i}`));
  const length = Math.sqrt(given.flatMap((values) => [...values]).reduce((sum, g) => sum + g * g, 0));
  const clip = 2 / (length + 1e-6);
  /** With the workgroups of a graphics card. */
  const card: Device = Object.assign(Object.create(device), { traits: { ...device.traits, cpu: false } });
  /** The first step. */
  const updates: Record<string, (p: number, g: number) => number> = {
    sgd: (p, g) => p - 0.1 * g * clip,
    adam: (p, g) => p - (0.1 * g * clip) / (Math.abs(g * clip) + 1e-8),
  };
  for (const kind of ['sgd', 'adam'] as const) {
    for (const [on, count] of [
      [device, 1],
      [smallBindings(device, 80128), 2],
      [card, 1],
    ] as const) {
      const variables = new Variables(on);
      const parameters = sizes.map((size, i) => variables.declare(`p${i}`, [size], 'vector', true, () => start[i]));
      const graph = new Graph();
      const optimizer = createOptimizer({ kind }, variables);
      const { norm, hyper } = optimizer.update(graph, [], { clipNorm: 2 });
      const plan = await Plan.compile(on, graph, { outputs: [norm], poison: true });
      assert.is(variables.arena('gradient').chunks.length, count);
      assert.is(plan.dispatches.filter(({ source }) => source).length, 2 * count);
      parameters.forEach((parameter, i) => variables.set(parameter, given[i], variables.arena('gradient')));
      plan.write(hyper, optimizer.hyperValues(0.1, 1));
      plan.run();
      assertClose('norm', (await plan.read(norm))[0], [length], 2e-7);
      const [after, clipped] = [await variables.read('parameters'), await variables.read('gradient')];
      parameters.forEach(({ name }, i) => {
        const expected = start[i].map((p, k) => updates[kind](p, given[i][k]));
        assertClose(`${kind} ${name}`, after.get(name)!, expected, 1e-6);
        assertClose(
          `clipped ${name}`,
          clipped.get(name)!,
          given[i].map((g) => g * clip),
          1e-6,
        );
      });
      plan.destroy();
      variables.destroy();
    }
  }
});

test('a gradient that is not finite gives a norm that is not', async () => {
  for (const kind of ['sgd', 'adam'] as const) {
    for (const clipNorm of [undefined, 1]) {
      for (const bad of [NaN, Infinity, -Infinity, 1e20]) {
        const variables = new Variables(device);
        const [, b] = declare(variables);
        const graph = new Graph();
        const optimizer = createOptimizer({ kind }, variables);
        const { norm, hyper } = optimizer.update(graph, [], { clipNorm });
        const plan = await Plan.compile(device, graph, { outputs: [norm], poison: true });
        variables.set(b, new Float32Array(13).fill(bad, 12), variables.arena('gradient'));
        plan.write(hyper, optimizer.hyperValues(0.1, 1));
        plan.run();
        const [[got]] = await plan.read(norm);
        assert.not.ok(Number.isFinite(got), `${kind}, clipNorm ${clipNorm}, ${bad}: ${got}`);
        plan.destroy();
        variables.destroy();
      }
    }
  }
});

test('without momentum SGD keeps no state', () => {
  const variables = new Variables(device);
  declare(variables);
  assert.equal(createOptimizer({ kind: 'sgd' }, variables).stateNames, []);
  assert.equal(createOptimizer({ kind: 'sgd', momentum: 0.9 }, variables).stateNames, ['sgd.momentum']);
  assert.equal(createOptimizer({ kind: 'radam' }, variables).stateNames, ['adam.m', 'adam.v']);
});

test('continuing from saved state equals never having stopped', async () => {
  const settings = { kind: 'adam' } as const;
  const run = async (stopAfter: number | undefined) => {
    let saved: { values: Map<string, Float32Array>; arena?: string }[] = [];
    for (const steps of stopAfter ? [[1, 2].slice(0, stopAfter), [1, 2, 3].slice(stopAfter)] : [[1, 2, 3]]) {
      const variables = new Variables(device);
      const parameters = declare(variables);
      const graph = new Graph();
      const inputs = parameters.map(({ name, shape, layout }) => graph.input(`d${name}`, shape, layout));
      const optimizer = createOptimizer(settings, variables);
      const { hyper } = optimizer.step(graph, parameters, inputs);
      const plan = await Plan.compile(device, graph, { outputs: [] });
      for (const { values, arena } of saved) {
        parameters.forEach((parameter) =>
          variables.set(parameter, values.get(parameter.name)!, variables.arena(arena!)),
        );
      }
      for (const step of steps) {
        inputs.forEach((input) => plan.write(input, normal(input.shape, `${input.name} ${step}`)));
        plan.write(hyper, optimizer.hyperValues(0.1, step));
        plan.run();
      }
      saved = [];
      for (const arena of ['parameters', ...optimizer.stateNames])
        saved.push({ arena, values: await variables.read(arena) });
      plan.destroy();
      variables.destroy();
    }
    return saved;
  };
  assert.equal(await run(2), await run(undefined));
});

test('one gradient for two parameters, and a gradient that makes another one', async () => {
  // y = relu(a + b) + c: the gradient of c is the one flowing into relu, and a and b share theirs.
  const variables = new Variables(device);
  const shape = [1, 1, 3, 5];
  const start = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, normal(shape, name)]));
  const parameters = ['a', 'b', 'c'].map((name) => variables.declare(name, shape, 'image', true, () => start[name]));
  const graph = new Graph();
  const t = graph.input('t', shape);
  const one = graph.input('one', [1], 'vector');
  const [a, b, c] = parameters.map((parameter) => graph.read(parameter));
  const loss = bceWithLogitsLoss(add(relu(add(a, b)), c), t);
  const made = gradients([loss], [one], [a, b, c]);
  const optimizer = createOptimizer({ kind: 'sgd' }, variables);
  const { hyper } = optimizer.step(graph, parameters, made);
  const plan = await Plan.compile(device, graph, { outputs: [loss], poison: true });
  const target = normal(shape, 't').map((x) => Number(x > 0));
  plan.write(t, target);
  plan.write(one, [1]);
  plan.write(hyper, optimizer.hyperValues(2, 1));
  plan.run();
  const after = await variables.read('parameters');
  const expected: Record<string, number[]> = { a: [], b: [], c: [] };
  target.forEach((label, i) => {
    const inner = start.a[i] + start.b[i];
    const dz = (1 / (1 + Math.exp(-Math.max(inner, 0) - start.c[i])) - label) / target.length;
    const dInner = inner > 0 ? dz : 0;
    expected.a.push(start.a[i] - 2 * dInner);
    expected.b.push(start.b[i] - 2 * dInner);
    expected.c.push(start.c[i] - 2 * dz);
  });
  for (const name of ['a', 'b', 'c']) assertClose(name, after.get(name)!, expected[name], 1e-6);
  plan.destroy();
  variables.destroy();
});

test('errors name what is missing or out of range', () => {
  const variables = new Variables(device);
  const parameters = declare(variables);
  const graph = new Graph();
  const inputs = parameters.map(({ name, shape, layout }) => graph.input(`d${name}`, shape, layout));
  const optimizer = createOptimizer({ kind: 'adam' }, variables);
  assert.throws(() => optimizer.step(graph, parameters, inputs.slice(0, 2)), /the parameter c has no gradient/);
  assert.throws(() => optimizer.step(graph, parameters.slice(1), inputs.slice(1)), /the parameter a has no gradient/);
  assert.throws(
    () => optimizer.step(graph, parameters, [inputs[0], inputs[2], inputs[1]]),
    /the gradient dc \[2, 7, 1, 1\] \(filter\) does not fit b \[13\] \(vector\)/,
  );
  assert.throws(
    () => optimizer.step(graph, parameters, inputs, { clipNorm: 0 }),
    /clipNorm is 0; a positive number is needed/,
  );
  assert.throws(() => optimizer.hyperValues(0.1, 0), /step is 0; steps count from 1/);
  assert.throws(() => optimizer.hyperValues(NaN, 1), /the learning rate is NaN/);
  assert.throws(
    () => createOptimizer({ kind: 'adam', betas: [0.9, 1] }, variables),
    /adam: beta2 is 1; it lies in 0 <= beta2 < 1/,
  );
  assert.throws(() => createOptimizer({ kind: 'adamw', eps: 0 }, variables), /adamw: eps is 0/);
  assert.throws(() => createOptimizer({ kind: 'sgd', nesterov: true }, variables), /nesterov needs momentum/);
});

test.run();
