import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import { Graph } from '../../engine/graph.js';
import { cast } from '../../engine/ops/cast.js';
import { testDevice } from '../helpers/device.js';
import { smallBindings } from '../helpers/pass.js';
import { evaluate, normal } from '../helpers/run.js';

const device = await testDevice();
const test = suite('cast');

test('rounds to the nearest f16, which is read as it is', async () => {
  // 2^-24 is the smallest f16, 65504 the largest; half way to the next one is infinite; 1 + 2^-11 is even down, + 3 * 2^-11 up.
  const values = [1, -2.5, 65504, 65519, 65520, -1e6, 2 ** -24, 2 ** -26, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 / 3, 0];
  const wanted = [1, -2.5, 65504, 65504, Infinity, -Infinity, 2 ** -24, 0, 1, 1 + 2 ** -9, 0.333251953125, 0];
  const shape = [1, 3, 2, 2];
  const [half, back] = await evaluate(device, { x: { shape, values } }, ({ x }) => {
    const y = cast(x, 'f16');
    return [y, cast(y, 'f32')];
  });
  assert.equal([...half], wanted);
  assert.equal([...back], wanted);
});

test('the gradient has the type of the input, and a batch larger than a binding is split', async () => {
  const shape = [5, 3, 4, 4];
  const given = { x: { shape, values: normal(shape, 'x') }, dy: { shape, values: normal(shape, 'dy') } };
  const [dx, type] = await evaluate(smallBindings(device, 512), given, ({ x, dy }) => {
    const y = cast(x, 'f16');
    const [gradient] = gradients([y], [cast(dy, 'f16')], [x]);
    assert.is(gradient.dtype, 'f32');
    return [gradient, cast(dy, 'f16')];
  });
  assert.equal(dx, type);
});

test('nothing is done where the type is the same', () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 3, 2, 2]);
  assert.is(cast(x, 'f32'), x);
  assert.throws(() => cast(graph.input('v', [3], 'vector'), 'f16'), /cast: v \[3\] has the layout vector; an image/);
});

test.run();
