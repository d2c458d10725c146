import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementCount } from '../layout.js';
import { elementwise } from './elementwise.js';
import { channelsOf } from './shapes.js';
import { sumRows } from './sumRows.js';

interface Attributes {
  /** 1 for the sum, 1 / count for the mean. */
  scale: number;
}

interface GradientAttributes extends Attributes {
  channels: number;
}

export const sumOp: Op<Attributes> = {
  name: 'sum',
  lower(node, to) {
    const [x] = node.inputs;
    const { bytes } = x;
    const options = { scale: node.attributes.scale, across: true };
    const ranges = x.layout === 'image' ? to.batches(x) : [];
    if (ranges.length <= 1) {
      sumRows(to, { sources: [{ binding: x, rows: 1 }], length: bytes / 16 }, node.outputs[0], options);
      return;
    }
    const images = x.shape[0];
    const perImage = to.scratch('perImage', [images, 4, 1, 1]);
    const sources = ranges.map((range) => ({ binding: to.images(x, range), rows: range.count }));
    sumRows(to, { sources, length: bytes / images / 16 }, perImage);
    sumRows(to, { sources: [{ binding: perImage, rows: 1 }], length: images }, node.outputs[0], options);
  },
  // dx = dy everywhere
  gradient: (node, [dy]) => {
    const [x] = node.inputs;
    const attributes = { scale: node.attributes.scale, channels: channelsOf('sum', x) };
    return [recordOne(sumGradientOp, [dy!], { shape: x.shape, layout: x.layout }, attributes)];
  },
};

export const sumGradientOp: Op<GradientAttributes> = {
  name: 'sumGradient',
  lower(node, to) {
    const [dy] = node.inputs;
    elementwise(to, 'sum', { dx: node.outputs[0] }, { params: { ...node.attributes }, shared: { dy } });
  },
};

function record(name: string, x: Tensor, scale: number): Tensor {
  channelsOf(name, x);
  return recordOne(sumOp, [x], { shape: [1], layout: 'vector', name }, { scale });
}

/**
 * The sum over all elements, a vector [1].
 * @throws Error unless x is an image or a vector
 */
export const sum = (x: Tensor): Tensor => record('sum', x, 1);

/**
 * The mean over all elements, a vector [1].
 * @throws Error unless x is an image or a vector
 */
export const mean = (x: Tensor): Tensor => record('mean', x, 1 / elementCount(x.shape));
