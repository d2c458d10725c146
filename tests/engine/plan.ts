import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { Graph, type Op, recordOne, type Tensor } from '../../engine/graph.js';
import { describeMemory } from '../../engine/memory.js';
import { add } from '../../engine/ops/add.js';
import { relu } from '../../engine/ops/relu.js';
import { planMemory } from '../../engine/arrange.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const test = suite('plan');

test('gradients of a tensor used twice are added', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 1, 1, 3]);
  const seed = graph.input('seed', [1, 1, 1, 3]);
  const y = add(add(relu(x), x), x);
  const [dx] = gradients([y], [seed], [x]);
  const plan = await Plan.compile(device, graph, { outputs: [y, dx], poison: true });
  plan.write(x, [-1, 0, 2]);
  plan.write(seed, [1, 1, 10]);
  plan.run();
  const [yValues, dxValues] = await plan.read(y, dx);
  assert.equal([...yValues], [-2, 0, 6]);
  assert.equal([...dxValues], [2, 2, 30]);
  plan.destroy();
});

test('nodes that nobody needs are not executed', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 1, 1, 3]);
  const y = relu(x);
  add(relu(y), y);
  const plan = await Plan.compile(device, graph, { outputs: [y] });
  assert.is(plan.dispatchCount, 1);
  plan.destroy();
});

test('an input keeps its value over steps, and its memory is not recycled', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 4, 8, 8]);
  let y: Tensor = x;
  for (let i = 0; i < 6; i++) y = relu(y);
  const plan = await Plan.compile(device, graph, { outputs: [y], poison: true });
  const values = Float32Array.from({ length: 256 }, (_, i) => i);
  plan.write(x, values);
  plan.run();
  plan.run();
  assert.equal((await plan.read(y))[0], values);
  assert.is(plan.memory.transient, 2 * 256 * 4);
  plan.destroy();
});

test('steps that are encoded ahead, and cut in two, take what was written last', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 1, 1, 3]);
  let y: Tensor = x;
  for (let i = 0; i < 40; i++) y = add(y, x);
  const plan = await Plan.compile(device, graph, { outputs: [y], poison: true });
  for (let step = 1; step <= 5; step++) {
    plan.write(x, [step, -step, 0]);
    plan.run();
    assert.equal([...(await plan.read(y))[0]], [41 * step, -41 * step, 0]);
  }
  // Two steps behind each other, the second one's values written while the first one is under way.
  plan.write(x, [7, 7, 7]);
  plan.run();
  const first = plan.read(y);
  plan.write(x, [8, 8, 8]);
  plan.run();
  assert.equal([...(await first)[0]], [287, 287, 287]);
  assert.equal([...(await plan.read(y))[0]], [328, 328, 328]);
  plan.destroy();
});

test('what later dispatches read may be written when the first are submitted, and nothing else', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 1, 1, 3]);
  const late = graph.input('late', [1, 1, 1, 3]);
  let y: Tensor = x;
  for (let i = 0; i < 4; i++) y = relu(y);
  y = add(y, late);
  const plan = await Plan.compile(device, graph, { outputs: [y] });
  for (let step = 1; step <= 4; step++) {
    plan.write(x, [step, 2, 3]);
    plan.run({ meanwhile: () => plan.write(late, [10, 20, step]) });
    assert.equal([...(await plan.read(y))[0]], [step + 10, 22, 3 + step]);
  }
  assert.throws(
    () => plan.run({ meanwhile: () => plan.write(x, [0, 0, 0]) }),
    /x \[1, 1, 1, 3\] is read by dispatches that are submitted already; write it before run/,
  );
  plan.write(x, [5, 6, 7]);
  plan.run();
  assert.equal([...(await plan.read(y))[0]], [15, 26, 11]);
  plan.destroy();
  // Checks look at all inputs first, so all are in time.
  const checked = await Plan.compile(device, graph, { outputs: [y], checkNumerics: true });
  checked.write(late, [0, 0, 0]);
  checked.run({ meanwhile: () => checked.write(x, [1, NaN, 3]) });
  assert.is((await checked.firstNonFinite())!.sources[0].value, 'the input x [1, 1, 1, 3]');
  checked.destroy();
});

test('the memory of a plan is known without making it', async () => {
  const graph = new Graph();
  const x = graph.input('x', [2, 5, 8, 8]);
  const y = add(relu(add(x, relu(x))), x);
  const known = planMemory(device, graph, { outputs: [y] });
  const plan = await Plan.compile(device, graph, { outputs: [y] });
  assert.is(describeMemory(known), describeMemory(plan.memory));
  assert.is(known.inputs, 2 * 2 * 64 * 16);
  plan.destroy();
});

test('poison shows a kernel that reads what nobody wrote', async () => {
  const half: Op = {
    name: 'half',
    lower(node, to) {
      const [n] = node.outputs[0].shape;
      const range = { first: 0, count: n / 2 };
      const bindings = { x: to.images(node.inputs[0], range), y: to.images(node.outputs[0], range) };
      const constants = { Quad: 'vec4f', THREADS: 64 } as const;
      to.dispatch({
        shader: 'relu',
        entry: 'forward',
        constants,
        params: { count: 64, span: 64 },
        bindings,
        workgroups: [1, 1, 1],
      });
    },
  };
  const graph = new Graph();
  const x = graph.input('x', [2, 4, 8, 8]);
  const y = recordOne(half, [x], { shape: [2, 4, 8, 8] }, {});
  const plan = await Plan.compile(device, graph, { outputs: [y], poison: true });
  plan.write(x, new Float32Array(512).fill(1));
  plan.run();
  const [values] = await plan.read(y);
  assert.is(values.filter((v) => v === 1).length, 256);
  assert.is(values.filter((v) => Number.isNaN(v)).length, 256);
  plan.destroy();
});

test('tensors larger than a binding are split over the batch', async () => {
  const small = Object.assign(Object.create(device), {
    traits: { ...device.traits, maxBindingBytes: 2048 },
  }) as typeof device;
  const graph = new Graph();
  const x = graph.input('x', [7, 3, 8, 8]);
  const y = relu(x);
  const plan = await Plan.compile(small, graph, { outputs: [y], poison: true });
  assert.is(plan.dispatchCount, 4 + 4);
  const values = Float32Array.from({ length: 7 * 192 }, (_, i) => i + 1);
  plan.write(x, values);
  plan.run();
  assert.equal((await plan.read(y))[0], values);
  plan.destroy();
  const large = new Graph();
  const z = relu(large.input('z', [1, 64, 8, 8]));
  try {
    await Plan.compile(small, large, { outputs: [z] });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /one image of .* does not fit a storage binding of 2048 bytes/);
  }
});

test('what is asked wrongly is refused in words', async () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 1, 1, 3]);
  const other = new Graph().input('y', [1, 1, 1, 3]);
  assert.throws(() => add(x, other), /belongs to another graph/);
  assert.throws(
    () => add(x, graph.input('w', [1, 1, 3, 1])),
    /add: x \[1, 1, 1, 3\] and w \[1, 1, 3, 1\] have different shapes/,
  );
  assert.throws(() => gradients([relu(x)], [x], [graph.input('z', [1, 1, 1, 1])]), /z \[1, 1, 1, 1\] has no influence/);
  const y = relu(x);
  const plan = await Plan.compile(device, graph, { outputs: [y] });
  assert.throws(() => plan.write(x, [1, 2]), /2 values given, 3 needed/);
  assert.throws(() => plan.write(y, [1, 2, 3]), /is not an input/);
  plan.destroy();
});

test('a shader that does not compile is reported with its line, and what it includes with that of the part', async () => {
  const files: Record<string, string> = {
    broken: '// contract\n\nfn main() { let x: f32 = 1u; }\n',
    including: '#include broken\n',
    'parts/broken': '// what it is\nfn main() -> f32 { return 1u; }\n',
  };
  const platform = Object.assign(Object.create(device.platform), { shaderText: (name: string) => files[name] });
  const { PipelineCache } = await import('../../engine/pipelines.js');
  const cache = new PipelineCache(device.gpu, platform);
  const messageOf = async (shader: string): Promise<string> => {
    try {
      await cache.get({ shader, entry: 'main', constants: { TILE: 4 }, storage: [], texels: [] });
    } catch (error) {
      return (error as Error).message;
    }
    return 'no error';
  };
  const message = await messageOf('broken');
  assert.match(message, /broken\.main with \{"TILE":4\} does not compile/);
  assert.match(message, /shaders\/broken\.wgsl:3:\d+: .*\n {4}fn main\(\) \{ let x: f32 = 1u; \}/);
  const included = /shaders\/parts\/broken\.wgsl:2:\d+: .*\n {4}fn main\(\) -> f32 \{ return 1u; \}/;
  assert.match(await messageOf('including'), included);
});

test('variables keep names, shapes and values', async () => {
  const variables = new Variables(device);
  const a = variables.declare('a', [3], 'vector', true, () => [1, 2, 3]);
  const b = variables.declare('b', [2, 1, 3, 3], 'filter', true, () => new Float32Array(18).fill(4));
  variables.declare('c', [5], 'vector', false, () => [9, 9, 9, 9, 9]);
  assert.is(
    variables.declare('a', [3], 'vector', true, () => [0, 0, 0]),
    a,
  );
  assert.throws(() => variables.declare('a', [4], 'vector', true, () => []), /variable a is \[3\]/);
  assert.is(variables.parameterCount, 21);
  variables.set(b, new Float32Array(18).fill(5));
  const values = await variables.read('parameters');
  assert.equal([...values.get('a')!], [1, 2, 3]);
  assert.ok(values.get('b')!.every((x) => x === 5));
  assert.equal([...(await variables.read('buffers')).keys()], ['c']);
  assert.throws(() => variables.declare('late', [1], 'vector', true, () => [0]), /before the first plan/);
  assert.throws(() => variables.set(a, [1]), /a: 1 values for shape \[3\]/);
  variables.destroy();
});

test.run();
