import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkImage } from './shapes.js';
import { overImages } from './sumRows.js';

export const argmaxOp: Op = {
  name: 'argmax',
  lower(node, to) {
    const [x] = node.inputs;
    overImages(
      to,
      { shader: 'argmax', entry: 'main', run: 1 },
      { y: node.outputs[0], x },
      { channels: x.shape[1] },
      {},
    );
  },
};

/**
 * The channel with the largest value at each pixel, [N, C, H, W] to [N, 1, H, W]; the first of equals. It has no
 * gradient.
 * @throws Error unless x is an image
 */
export function argmax(x: Tensor): Tensor {
  checkImage('argmax', x);
  const [n, , h, w] = x.shape;
  return recordOne(argmaxOp, [x], { shape: [n, 1, h, w] }, {});
}
