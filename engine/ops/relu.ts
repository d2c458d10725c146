import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementwise } from './elementwise.js';

export const reluOp: Op = {
  name: 'relu',
  again: (node) => node,
  lower(node, to) {
    elementwise(to, 'relu', { x: node.inputs[0], y: node.outputs[0] }, { entry: 'forward' });
  },
  // dx = dy * (y > 0): the output is kept, so the input need not be
  gradient: (node, [dy]) => [
    recordOne(reluGradientOp, [node.outputs[0], dy!], { shape: dy!.shape, layout: dy!.layout, dtype: dy!.dtype }, {}),
  ],
};

export const reluGradientOp: Op = {
  name: 'reluGradient',
  lower(node, to) {
    const [y, dy] = node.inputs;
    elementwise(to, 'relu', { y_saved: y, dy, dx: node.outputs[0] }, { entry: 'gradient' });
  },
};

/** [y, a, b] to [dx], where dy is a + b; what fusing makes of the sum and ReLU's gradient. */
export const addReluGradientOp: Op = {
  name: 'add+reluGradient',
  lower(node, to) {
    const [y, a, b] = node.inputs;
    elementwise(to, 'relu', { y_saved: y, a, b, dx: node.outputs[0] }, { entry: 'gradientOfSum' });
  },
};

/** y = max(x, 0), element by element; the gradient at 0 is 0, as PyTorch has it. */
export function relu(x: Tensor): Tensor {
  return recordOne(reluOp, [x], { shape: x.shape, layout: x.layout, dtype: x.dtype }, {});
}
