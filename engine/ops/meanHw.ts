import { type Op, recordOne, type Tensor } from '../graph.js';
import { vec4s } from '../layout.js';
import { checkImage } from './shapes.js';
import { overImages, sumRows } from './sumRows.js';

export const meanHwOp: Op = {
  name: 'meanHw',
  lower(node, to) {
    const [x] = node.inputs;
    const [, channels, height, width] = x.shape;
    const sources = to.batches(x).map((range) => ({ binding: to.images(x, range), rows: range.count }));
    const rows = { sources, length: height * width, inner: vec4s(channels) };
    sumRows(to, rows, node.outputs[0], { scale: 1 / (height * width) });
  },
  // dx = dy / (H W) at every pixel
  gradient: (node, [dy]) => [recordOne(meanHwGradientOp, [dy!], { shape: node.inputs[0].shape }, {})],
};

export const meanHwGradientOp: Op = {
  name: 'meanHwGradient',
  lower(node, to) {
    const [dx] = node.outputs;
    const [, channels, height, width] = dx.shape;
    const params = { quads: vec4s(channels), scale: 1 / (height * width) };
    overImages(to, { shader: 'meanHw', entry: 'main', run: 1 }, { dx }, params, { dy: node.inputs[0] });
  },
};

/**
 * The mean over height and width for each image and channel: [N, C, H, W] to [N, C, 1, 1].
 * @throws Error unless x is an image
 */
export function meanHw(x: Tensor): Tensor {
  checkImage('meanHw', x);
  return recordOne(meanHwOp, [x], { shape: [x.shape[0], x.shape[1], 1, 1] }, {});
}
