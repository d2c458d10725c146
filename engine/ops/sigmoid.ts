import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementwise } from './elementwise.js';
import { channelsOf } from './shapes.js';

export const sigmoidOp: Op = {
  name: 'sigmoid',
  lower(node, to) {
    const [x] = node.inputs;
    const params = { channels: channelsOf('sigmoid', x) };
    elementwise(to, 'sigmoid', { x, y: node.outputs[0] }, { entry: 'forward', params });
  },
  // dx = dy * y * (1 - y): the output is kept, so the input need not be
  gradient: (node, [dy]) => [
    recordOne(sigmoidGradientOp, [node.outputs[0], dy!], { shape: dy!.shape, layout: dy!.layout }, {}),
  ],
};

export const sigmoidGradientOp: Op = {
  name: 'sigmoidGradient',
  lower(node, to) {
    const [y, dy] = node.inputs;
    const params = { channels: channelsOf('sigmoid', y) };
    elementwise(to, 'sigmoid', { y_saved: y, dy, dx: node.outputs[0] }, { entry: 'gradient', params });
  },
};

/**
 * y = 1 / (1 + exp(-x)), element by element.
 * @throws Error unless x is an image or a vector
 */
export function sigmoid(x: Tensor): Tensor {
  channelsOf('sigmoid', x);
  return recordOne(sigmoidOp, [x], { shape: x.shape, layout: x.layout }, {});
}
