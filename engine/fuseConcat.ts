import type { Count } from './fuse.js';
import type { Node, Op, Tensor } from './graph.js';
import { byteLength } from './layout.js';
import { shiftChannelsOp } from './ops/channelSlice.js';
import { concatOp } from './ops/concat.js';
import { conv2dInputGradientOp, conv2dOp, conv2dWeightGradientOp } from './ops/conv2d.js';
import type { Uses } from './uses.js';

/**
 * Convolutions of concatenated maps, and their gradients, take the maps where they lie: the weights of each lie together in the filter,
 * so nothing has to be concatenated or cut.
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
    if (node.op === concatOp) {
      const firsts = node.inputs.map((_, i) => channelsOf(node.inputs.slice(0, i)));
      const readers = uses.of(node.outputs[0]);
      const isApart = (reader: Node): boolean => {
        const filter = filterOf(reader);
        return filter !== undefined && firsts.every((first) => fits(filter, first));
      };
      if (readers.length === 0 || !readers.every(isApart)) continue;
      gone.add(node);
      for (const reader of readers) {
        instead.set(reader, overMaps(reader, node.inputs));
        count(`concat+${reader.op.name}`);
      }
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

/** The filter of a convolution, or the gradient that is made for it. */
function filterOf({ op, inputs, outputs }: Node): Tensor | undefined {
  if (op === (conv2dOp as Op)) return inputs[1];
  return op === (conv2dWeightGradientOp as Op) ? outputs[0] : undefined;
}

function overMaps(node: Node, maps: readonly Tensor[]): Node {
  const inputs = [...maps, ...node.inputs.slice(1)];
  if (node.op !== (conv2dOp as Op)) return { ...node, inputs };
  return { ...node, inputs, attributes: { ...(node.attributes as object), maps: maps.length } };
}
