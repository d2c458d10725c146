import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { gradientSquares } from '../../engine/ops/gradientSquares.js';
import { Plan } from '../../engine/plan.js';
import { Variables } from '../../engine/variables.js';
import { testDevice } from '../helpers/device.js';
import { assertClose, smallBindings } from '../helpers/pass.js';
import { normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('gradientSquares');

/** With the workgroups of a graphics card. */
const card: Device = Object.assign(Object.create(device), { traits: { ...device.traits, cpu: false } });

/** The sums over gradients of vectors of these sizes, twice, and what their squares add up to in float64. */
async function squares(on: Device, gradients: readonly Float32Array[]) {
  const variables = new Variables(on);
  const parameters = gradients.map(({ length }, i) =>
    variables.declare(`p${i}`, [length], 'vector', true, () => new Float32Array(length)),
  );
  const graph = new Graph();
  const sums = gradientSquares(graph, variables, []);
  const plan = await Plan.compile(on, graph, { outputs: [sums], poison: true });
  parameters.forEach((parameter, i) => variables.set(parameter, gradients[i], variables.arena('gradient')));
  const chunks = variables.arena('gradient').chunks.length;
  plan.run();
  const [got] = await plan.read(sums);
  plan.run();
  const [again] = await plan.read(sums);
  assert.equal(new Uint32Array(again.buffer), new Uint32Array(got.buffer), 'two runs');
  // Without those that poison memory.
  const dispatchCount = plan.dispatches.filter(({ source }) => source).length;
  plan.destroy();
  variables.destroy();
  const exact = gradients.reduce((sum, values) => values.reduce((part, g) => part + g * g, sum), 0);
  return { sums: got, exact, chunks, dispatchCount };
}

const add = (sums: Float32Array): number => sums.reduce((total, sum) => total + sum, 0);

test('the sums add up to the squares of all gradients, in at most 128 sums and one dispatch', async () => {
  // One vec4f, with the last sums empty; one a sum, and more; a run of every invocation (64 of up to 16 lanes, or of 256), and more.
  for (const sizes of [[1], [3, 1], [509], [512], [513], [5, 7, 1021], [524289], [262144, 300007], [9000001]]) {
    const gradients = sizes.map((size, i) => normal([size], `d${i}`));
    for (const on of [device, card]) {
      const { sums, exact, chunks, dispatchCount } = await squares(on, gradients);
      assert.ok(sums.length <= 128, `${sums.length} sums of ${sizes}`);
      assert.ok(
        sums.every((sum) => sum >= 0),
        `${sizes}: ${sums}`,
      );
      assertClose(`${sizes}`, [add(sums)], [exact], 2e-7);
      assert.equal([chunks, dispatchCount], [1, 1]);
    }
  }
});

test('several chunks of memory take a dispatch each', async () => {
  const gradients = [300, 1, 255, 40].map((size, i) => normal([size], `d${i}`));
  const { sums, exact, chunks, dispatchCount } = await squares(smallBindings(device, 1280), gradients);
  assert.ok(chunks > 1, `${chunks} chunks`);
  assert.is(dispatchCount, chunks);
  assertClose('several chunks', [add(sums)], [exact], 2e-7);
});

test('a gradient that is not finite, or whose square is not, spoils the sum wherever it is', async () => {
  for (const bad of [NaN, Infinity, -Infinity, 1e20]) {
    for (const at of [0, 611, 1299]) {
      const gradient = normal([1300], 'd');
      gradient[at] = bad;
      for (const on of [device, smallBindings(device, 5200)]) {
        const { sums } = await squares(on, [gradient, normal([13], 'other')]);
        assert.not.ok(Number.isFinite(add(sums)), `${bad} at ${at}: ${sums}`);
      }
    }
  }
});

test('a parameter declared too late is an error', async () => {
  const variables = new Variables(device);
  const declare = (name: string) => variables.declare(name, [600], 'vector', true, () => new Float32Array(600));
  declare('first');
  const graph = new Graph();
  const sums = gradientSquares(graph, variables, []);
  declare('second');
  try {
    await Plan.compile(device, graph, { outputs: [sums] });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /declared after the optimizer was recorded/);
  }
});

test.run();
