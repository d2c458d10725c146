import type { Count } from './fuse.js';
import type { Node, Op, Tensor } from './graph.js';
import { byteLength } from './layout.js';
import { shiftChannelsOp } from './ops/channelSlice.js';
import { concatOp } from './ops/concat.js';
import { conv2dInputGradientOp, conv2dOp, conv2dWeightGradientOp } from './ops/conv2d.js';
import type { Uses } from './uses.js';

/**
 * The gradients of a convolution of concatenated maps, taken for each map alone: its weights lie together in the filter, so
 * nothing has to be concatenated or cut.
 * @param alignment of a binding's offset, bytes; where the weights of a map begin elsewhere, everything stays
 */
export function takeConcatsApart(nodes: readonly Node[], uses: Uses, alignment: number, count: Count): Node[] {
  const fits = (filter: Tensor, channel: number): boolean => {
    const [out, , ...kernel] = filter.shape;
    return (
      channel % 4 === 0 && (channel === 0 || byteLength([out, channel, ...kernel], filter.layout) % alignment === 0)
    );
  };
  const gone = new Set<Node>();
  const instead = new Map<Node, Node>();
  for (const node of nodes) {
    if (node.op === (conv2dWeightGradientOp as Op)) {
      const maps = apart(node, uses);
      if (!maps || !maps.every((_, i) => fits(node.outputs[0], channelsOf(maps.slice(0, i))))) continue;
      instead.set(node, { ...node, inputs: [...maps, node.inputs[1]] });
      count('concat+conv2dWeightGradient');
    } else if (node.op === (conv2dInputGradientOp as Op)) {
      const slices = uses.of(node.outputs[0]);
      const firsts = slices.map(({ op, attributes }) =>
        op === (shiftChannelsOp as Op) ? -(attributes as { offset: number }).offset : NaN,
      );
      if (slices.length === 0 || !firsts.every((first) => fits(node.inputs[1], first))) continue;
      gone.add(node);
      slices.forEach((slice, i) => {
        const attributes = { ...(node.attributes as object), firstChannel: firsts[i] };
        instead.set(slice, { ...node, outputs: slice.outputs, attributes });
      });
      count('conv2dInputGradient+channelSlice');
    }
  }
  return nodes.filter((node) => !gone.has(node)).map((node) => instead.get(node) ?? node);
}

const channelsOf = (images: readonly Tensor[]): number => images.reduce((sum, { shape }) => sum + shape[1], 0);

/** The maps of which `node` reads the concatenation, if only convolutions read it. */
function apart({ inputs: [x] }: Node, uses: Uses): readonly Tensor[] | undefined {
  const convolutions: readonly Op[] = [conv2dOp as Op, conv2dWeightGradientOp as Op];
  const concat = x.producer;
  if (concat?.op !== concatOp) return undefined;
  const readers = uses.of(x);
  return readers.length > 0 && readers.every(({ op }) => convolutions.includes(op)) ? concat.inputs : undefined;
}
