import { type Op, recordOne, type Tensor } from '../graph.js';
import { byteLength } from '../layout.js';
import { elementwise } from './elementwise.js';

export const addOp: Op = {
  name: 'add',
  lower(node, to) {
    elementwise(to, 'add', { a: node.inputs[0], b: node.inputs[1], y: node.outputs[0] });
  },
  // d(a + b) = da + db
  gradient: (_, [dy]) => [dy, dy],
};

/**
 * y = a + b, element by element.
 * @throws Error when shapes or layouts differ; nothing is broadcast
 */
export function add(a: Tensor, b: Tensor): Tensor {
  if (a.shape.join() !== b.shape.join() || byteLength(a.shape, a.layout) !== byteLength(b.shape, b.layout)) {
    throw new Error(`add: ${a} and ${b} have different shapes`);
  }
  return recordOne(addOp, [a, b], { shape: a.shape, layout: a.layout }, {});
}
