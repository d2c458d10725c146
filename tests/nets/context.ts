import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Graph } from '../../engine/graph.js';
import { Variables } from '../../engine/variables.js';
import { type Initialisation, NetContext } from '../../nets/context.js';
import { testDevice } from '../helpers/device.js';

const device = await testDevice();
const test = suite('initialisation');

async function initial(initialisation: Initialisation, seed = 7): Promise<Map<string, Float32Array>> {
  const variables = new Variables(device);
  const net = new NetContext(new Graph(), variables, true, seed, initialisation);
  net.weight('conv', [64, 32, 3, 3], 'filter');
  net.weight('up', [64, 32, 2, 2], 'transposedFilter');
  net.bias('bias', 64, [64, 32, 3, 3]);
  net.constant('gamma', 8, 1);
  const values = await variables.read('parameters');
  variables.destroy();
  return values;
}

const largest = (x: Float32Array) => x.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
const deviation = (x: Float32Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);

test('PyTorch: uniform within 1/sqrt(fan_in), the second size of the weight counting', async () => {
  const values = await initial('pytorch');
  for (const [name, fanIn] of [
    ['conv', 32 * 9],
    ['up', 32 * 4],
    ['bias', 32 * 9],
  ] as const) {
    const x = values.get(name)!;
    const bound = 1 / Math.sqrt(fanIn);
    assert.ok(largest(x) <= bound && largest(x) >= 0.9 * bound, name);
    if (x.length > 1000) assert.ok(Math.abs(deviation(x) / (bound / Math.sqrt(3)) - 1) <= 0.03, name);
  }
  assert.ok(values.get('gamma')!.every((v) => v === 1));
});

test('He: normal with variance 2 / fan_out, for convolutions only', async () => {
  const values = await initial('he');
  const x = values.get('conv')!;
  assert.ok(Math.abs(deviation(x) / Math.sqrt(2 / (64 * 9)) - 1) <= 0.03);
  assert.ok(Math.abs(x.reduce((sum, v) => sum + v, 0) / x.length) <= 0.002);
  assert.ok(largest(values.get('up')!) <= 1 / Math.sqrt(32 * 4));
});

test('a seed is a set of weights', async () => {
  const [a, b, c] = [await initial('pytorch'), await initial('pytorch'), await initial('pytorch', 8)];
  assert.equal(a, b);
  assert.not.equal(a.get('conv'), c.get('conv'));
});

test.run();
