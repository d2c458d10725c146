// Which forms are asked for, checked, timed and followed. No time is judged: the clock is the test's own.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { type Device, DeviceError } from '../../engine/device.js';
import { Graph, type Node, type Op, recordOne, type Tensor } from '../../engine/graph.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { elementwise } from '../../engine/ops/elementwise.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { type Answer, type Choices, following, questionsOf, tune, type TuneOptions } from '../../engine/tune.js';
import { callsOf } from '../../nets/calls.js';
import { TrainingStep } from '../../nets/trainingStep.js';
import { FORMS } from '../../cli/verify/variants.js';
import { trainingSettings } from '../../cli/settings.js';
import { resolveSettings } from '../../cli/trainFlags.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const test = suite('tune');

/** Ways to double: two are right, one is wrong, and one does not compile. */
const WAYS: Readonly<Record<string, (to: Parameters<Op['lower']>[1], x: Tensor, y: Tensor) => void>> = {
  scale: (to, x, y) => elementwise(to, 'scale', { x, y }, { params: { factor: 2 } }),
  add: (to, x, y) => elementwise(to, 'add', { a: x, b: x, y }, { constants: { RELU: false } }),
  relu: (to, x, y) => elementwise(to, 'relu', { x, y }, { entry: 'forward' }),
  sigmoid: (to, x, y) => elementwise(to, 'sigmoid', { x, y }, { entry: 'nonsense' }),
};

/** A call that doubles, in one of these forms. */
function double(...forms: string[]): Node {
  const op: Op = {
    name: 'double',
    lower({ inputs: [x], outputs: [y] }, to) {
      const { kernels, choose } = to.traits;
      WAYS[kernels === 'plain' ? 'scale' : forms[choose?.('double', forms) ?? 0]](to, x, y);
    },
  };
  const graph = new Graph();
  recordOne(op, [graph.input('x', [1, 5, 7, 3])], { shape: [1, 5, 7, 3] }, {});
  return graph.nodes[0];
}

/** Decides about one call with these milliseconds by shader. */
async function decide(node: Node, ms: Record<string, number>, more: TuneOptions = {}) {
  const answers: Answer[] = [];
  const refused: string[] = [];
  const timed = new Set<string>();
  const time = async (_: Device, plans: readonly Plan[]) =>
    plans.map(({ dispatches: [{ shader }] }) => {
      timed.add(shader);
      return { best: ms[shader], median: ms[shader], worst: ms[shader] };
    });
  await tune(device, questionsOf(device, [node]), {
    onAnswer: (answer) => answers.push(answer),
    onRefused: (message) => refused.push(message),
    time,
    ...more,
  });
  return { answer: answers[0], refused, timed: [...timed].sort() };
}

test('a form takes the place of the favourite when it is clearly faster', async () => {
  const { answer, refused } = await decide(double('scale', 'add'), { scale: 10, add: 9 });
  assert.equal([answer.form, answer.favouriteMs, answer.ms], ['add', 10, 9]);
  assert.equal(refused, []);
  const close = await decide(double('scale', 'add'), { scale: 10, add: 9.8 });
  assert.equal([close.answer.form, close.answer.ms], ['scale', 10]);
  const unknown = await decide(double('scale', 'add'), { scale: 10, add: NaN });
  assert.is(unknown.answer.form, 'scale');
});

test('a form that is wrong or does not compile is said, and never timed', async () => {
  const { answer, refused, timed } = await decide(double('scale', 'relu', 'sigmoid', 'add'), { scale: 3, add: 2 });
  assert.is(answer.form, 'add');
  assert.equal(timed, ['add', 'scale']);
  assert.is(refused.length, 2);
  assert.match(
    refused[0],
    /^double of x \[1, 5, 7, 3\]: relu is wrong on this adapter: it differs from the plain .* by /,
  );
  assert.match(
    refused[1],
    /^double of x \[1, 5, 7, 3\]: sigmoid cannot be used: sigmoid\.nonsense .* does not compile/,
  );
  const second = await decide(double('relu', 'add'), {});
  assert.equal([second.answer.form, second.timed], ['add', []]);
});

test('where every form is wrong, nothing goes on', async () => {
  let error: unknown;
  await decide(double('relu', 'sigmoid'), {}).catch((reason: unknown) => (error = reason));
  assert.instance(error, DeviceError);
  assert.match((error as Error).message, /no form computes what the plain kernels do/);
});

test('forms that do not fit the memory together are left out', async () => {
  const { answer, refused, timed } = await decide(double('scale', 'add'), { scale: 3, add: 1 }, { budget: 2000 });
  assert.equal([answer.form, timed], ['scale', []]);
  assert.match(refused[0], /add is not tried: beside scale it would take more than 2000 bytes/);
});

test('choices are followed; of what they do not name, or there is no longer, the rule decides', () => {
  const gone: string[] = [];
  const choose = following({ a: 'two', b: 'old' }, (work, form) => gone.push(`${work} ${form}`));
  assert.is(choose('a', ['one', 'two']), 1);
  assert.is(choose('b', ['one', 'two']), undefined);
  assert.is(choose('c', ['one', 'two']), undefined);
  assert.equal(gone, ['b old']);
});

const settings = resolveSettings({ size: 32, baseWidth: 2, batchSize: 2 });
const model = trainingSettings(settings, 1);

test('what a step asks: each work once, by the call that asks least, and no more forms than --all-variants forces', () => {
  for (const net of ['unet', 'resnet34-unet'] as const) {
    const questions = questionsOf(device, callsOf(device, { ...model, net }, { ...model, net }));
    assert.ok(questions.length > 10);
    assert.is(new Set(questions.map(({ work }) => work)).size, questions.length);
    for (const { work, forms } of questions) {
      assert.ok(forms.length > 1 && forms.length <= FORMS, `${work}: ${forms.join(', ')}`);
      assert.is(new Set(forms).size, forms.length, work);
    }
  }
  // A convolution of two maps asks twice, one of one map of the same size once.
  const graph = new Graph();
  const x = graph.input('x', [1, 8, 16, 16]);
  const w = graph.input('w', [8, 8, 3, 3], 'filter');
  gradients([conv2d(x, w, undefined, { padding: 1 })], [graph.input('dy', [1, 8, 16, 16])], [x]);
  const [forward, backward] = graph.nodes;
  const questions = questionsOf(device, [forward, backward]);
  assert.equal(
    questions.map(({ node, calls }) => [node.op.name, calls]),
    [['conv2d', 2]],
  );
});

test('a plan has the chosen forms', async () => {
  const questions = questionsOf(device, callsOf(device, model, model));
  const shadersOf = async (choices: Choices) => {
    const own = device.withHabits({ choose: following(choices) });
    const variables = new Variables(own);
    const { plan } = await TrainingStep.compile(own, variables, model);
    const shaders = plan.dispatches.map(({ shader }) => shader);
    plan.destroy();
    variables.destroy();
    return shaders;
  };
  const choices = Object.fromEntries(questions.map(({ work, forms }) => [work, forms[forms.length - 1]]));
  const [ruled, chosen] = [await shadersOf({}), await shadersOf(choices)];
  assert.not.equal(chosen, ruled);
  for (const form of Object.values(choices)) {
    const [shader] = form.split(' ');
    assert.ok(chosen.includes(shader), shader);
  }
  const favourites = Object.fromEntries(questions.map(({ work, forms }) => [work, forms[0]]));
  assert.equal(await shadersOf(favourites), ruled);
});

test.run();
