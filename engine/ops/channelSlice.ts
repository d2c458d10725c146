import { type Op, recordOne, type Tensor } from '../graph.js';
import { copyChannels } from './copyChannels.js';

/** Channel 0 of the input becomes channel `offset` of the output; what falls outside is dropped, the rest is zero. */
export const shiftChannelsOp: Op<{ offset: number }> = {
  name: 'shiftChannels',
  lower(node, to) {
    const [x] = node.inputs;
    const [y] = node.outputs;
    for (const range of to.batches(x, y)) copyChannels(to, x, y, range, node.attributes.offset, false);
  },
  // Each number goes back where it came from.
  gradient: ({ inputs: [x], attributes }, [dy]) => [shiftChannels(dy!, -attributes.offset, x.shape[1])],
};

function shiftChannels(x: Tensor, offset: number, channels: number): Tensor {
  const [n, , h, w] = x.shape;
  return recordOne(
    shiftChannelsOp,
    [x],
    { shape: [n, channels, h, w], dtype: x.dtype, name: 'channelSlice' },
    { offset },
  );
}

/**
 * y[n, c, y, x] = x[n, start + c, y, x] for c in 0 .. count - 1.
 * @throws Error when x [N, C, H, W] does not have all these channels
 */
export function channelSlice(x: Tensor, start: number, count: number): Tensor {
  if (x.layout !== 'image') throw new Error(`channelSlice: ${x} has layout ${x.layout}; it takes an image`);
  const whole = Number.isInteger(start) && Number.isInteger(count);
  if (!whole || start < 0 || count < 1 || start + count > x.shape[1]) {
    throw new Error(
      `channelSlice: ${x} has ${x.shape[1]} channels; ${count} from channel ${start} on are not all there`,
    );
  }
  return shiftChannels(x, -start, count);
}
