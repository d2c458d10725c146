import { type Node, type Op, recordOne, type Tensor } from '../graph.js';
import type { Lowering } from '../lowering.js';
import { elementwise } from './elementwise.js';

export const addOp: Op = {
  name: 'add',
  again: (node) => node,
  lower(node, to) {
    lowerAdd(node, to, false);
  },
  // d(a + b) = da + db
  gradient: (_, [dy]) => [dy, dy],
};

/** [a, b] to [max(a + b, 0)]; what fusing makes of the two ops, after gradients are recorded. */
export const addReluOp: Op = {
  name: 'add+relu',
  again: (node) => node,
  lower(node, to) {
    lowerAdd(node, to, true);
  },
};

function lowerAdd({ inputs: [a, b], outputs: [y] }: Node, to: Lowering, relu: boolean): void {
  elementwise(to, 'add', { a, b, y }, { constants: { RELU: relu } });
}

/**
 * y = a + b, element by element.
 * @throws Error when shapes, layouts or types differ; nothing is broadcast
 */
export function add(a: Tensor, b: Tensor): Tensor {
  if (a.shape.join() !== b.shape.join() || a.bytes !== b.bytes) {
    throw new Error(`add: ${a} and ${b} have different shapes or types`);
  }
  return recordOne(addOp, [a, b], { shape: a.shape, layout: a.layout, dtype: a.dtype }, {});
}
