import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { argmax } from '../../engine/ops/argmax.js';
import { testDevice } from '../helpers/device.js';
import { checkOpCase, goldenCases } from '../helpers/golden.js';
import { ODD_SHAPES, smallBindings } from '../helpers/pass.js';
import { evaluate } from '../helpers/run.js';

const device = await testDevice();
const test = suite('argmax');

for (const golden of goldenCases('argmax')) test(`golden ${golden.name}`, () => checkOpCase(device, golden));

test('odd shapes, many ties, all values below the zeros of the pads', async () => {
  // The last one has images of 2 KiB, and bindings of 4 KiB.
  for (const shape of [...ODD_SHAPES, [5, 5, 8, 8]]) {
    const on = shape[0] === 5 ? smallBindings(device, 4096) : device;
    const [n, c, h, w] = shape;
    const values = Float32Array.from(
      { length: n * c * h * w },
      (_, i) => -1 - (((i * 2654435761) % 4294967296) >>> 30),
    );
    const [y] = await evaluate(on, { x: { shape, values } }, ({ x }) => [argmax(x)] as const);
    const expected = Float32Array.from({ length: n * h * w }, (_, i) => {
      const column = Array.from(
        { length: c },
        (_, k) => values[(Math.floor(i / (h * w)) * c + k) * h * w + (i % (h * w))],
      );
      return column.indexOf(Math.max(...column));
    });
    assert.equal(y, expected, `[${shape}]`);
  }
});

test.run();
