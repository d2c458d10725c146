import type { DeviceTraits } from '../device.js';
import type { Graph, Node, Op, Tensor } from '../graph.js';
import type { Lowering } from '../lowering.js';
import type { Variables } from '../variables.js';

interface Attributes {
  variables: Variables;
}

/** About as many sums: each is a workgroup's, and every invocation of an update adds all of them up. */
const SUMS = 128;

/** The invocations of a workgroup, one subgroup on a processor. */
const teamOf = ({ cpu, subgroupSize }: DeviceTraits) => (cpu ? Math.max(8, subgroupSize) : 256);

/** How workgroups go over chunks of so many vec4f: each takes `span` that lie together. Each chunk has whole vec4f of sums. */
function spread(lengths: readonly number[]) {
  const span = Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / SUMS);
  return { span, groups: lengths.map((length) => Math.ceil(length / span / 4) * 4) };
}

const sumsOf = (lengths: readonly number[]): number => spread(lengths).groups.reduce((sum, count) => sum + count, 0);

const lengthsOf = (variables: Variables): number[] => variables.arena('gradient').chunkBytes.map((bytes) => bytes / 16);

export const gradientSquaresOp: Op<Attributes> = {
  name: 'gradientSquares',
  lower(node: Node<Attributes>, to: Lowering) {
    const { variables } = node.attributes;
    const arena = variables.arena('gradient');
    const lengths = lengthsOf(variables);
    const { span, groups } = spread(lengths);
    const [sums] = node.outputs;
    if (sumsOf(lengths) !== sums.shape[0]) {
      throw new Error(
        'gradientSquares: parameters were declared after the optimizer was recorded; declare them before',
      );
    }
    let first = 0;
    lengths.forEach((length, chunk) => {
      to.dispatch({
        shader: 'gradientSquares',
        constants: { THREADS: teamOf(to.traits) },
        params: { length, span, first },
        bindings: { gradient: { arena, chunk }, sums },
        workgroups: [groups[chunk], 1, 1],
      });
      first += groups[chunk];
    });
  },
};

/**
 * The squares of all gradients in the arena, added up in about 128 parts: a vector whose sum is the square of the L2 norm of all
 * parameters' gradients together. Updates add it up themselves, so that clipping has no further pass. Its place among the nodes decides
 * what it sees: after the gradients were made, before an update that clips them.
 * @param gradients gradients that this graph makes; they have to be made first
 */
export function gradientSquares(graph: Graph, variables: Variables, gradients: readonly Tensor[]): Tensor {
  const shape = [sumsOf(lengthsOf(variables))];
  return graph.record(gradientSquaresOp, gradients, [{ shape, layout: 'vector' }], { variables })[0];
}
