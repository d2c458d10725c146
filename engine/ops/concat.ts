import { type Op, recordOne, type Tensor } from '../graph.js';
import { channelSlice } from './channelSlice.js';
import { copyChannels } from './copyChannels.js';

/** The channel at which each input begins. */
function offsetsOf(inputs: readonly Tensor[]): number[] {
  let channels = 0;
  return inputs.map(({ shape }) => {
    channels += shape[1];
    return channels - shape[1];
  });
}

export const concatOp: Op = {
  name: 'concat',
  again: (node) => node,
  lower({ inputs, outputs: [y] }, to) {
    const offsets = offsetsOf(inputs);
    for (const range of to.batches(...inputs, y)) {
      // In order: where an input begins inside a quad, it keeps what the one before has put there.
      inputs.forEach((x, i) => copyChannels(to, x, y, range, offsets[i], true));
    }
  },
  gradient({ inputs }, [dy], wanted) {
    const offsets = offsetsOf(inputs);
    return inputs.map(({ shape }, i) => (wanted[i] ? channelSlice(dy!, offsets[i], shape[1]) : undefined));
  },
};

/**
 * The channels of all inputs one after the other; each input is [N, C_i, H, W].
 * @throws Error when the inputs differ in anything but their channels
 */
export function concat(inputs: readonly Tensor[]): Tensor {
  if (inputs.length === 0) throw new Error('concat: there are no inputs');
  const [n, , h, w] = inputs[0].shape;
  for (const input of inputs) {
    const [batch, , height, width] = input.shape;
    if (input.layout !== 'image' || batch !== n || height !== h || width !== w) {
      throw new Error(`concat: ${inputs.join(' and ')} have to be images that agree in all but their channels`);
    }
  }
  const channels = inputs.reduce((sum, { shape }) => sum + shape[1], 0);
  return recordOne(concatOp, inputs, { shape: [n, channels, h, w], dtype: inputs[0].dtype }, {});
}
