import type { DeviceTraits } from '../device.js';
import type { Graph, Node, Op, Tensor } from '../graph.js';
import type { Lowering } from '../lowering.js';
import type { Variables } from '../variables.js';
import { sumRows } from './sumRows.js';

interface Attributes {
  variables: Variables;
}

/** The invocations of a workgroup, one subgroup on a processor, and the vec4f that each squares and adds. */
const teamOf = ({ cpu, subgroupSize }: DeviceTraits) =>
  cpu ? { THREADS: Math.max(8, subgroupSize), RUN: 256 } : { THREADS: 64, RUN: 32 };

export const gradientNormOp: Op<Attributes> = {
  name: 'gradientNorm',
  lower(node: Node<Attributes>, to: Lowering) {
    const arena = node.attributes.variables.arena('gradient');
    const lengths = arena.chunkBytes.map((bytes) => bytes / 16);
    const team = teamOf(to.traits);
    const parts = lengths.map((length) => Math.ceil(length / (team.THREADS * team.RUN)) * team.THREADS);
    const all = parts.reduce((sum, count) => sum + count, 0);
    const sums = to.scratch('terms', [all * 4], 'vector');
    let first = 0;
    lengths.forEach((length, chunk) => {
      to.dispatch({
        shader: 'gradientNorm',
        constants: team,
        params: { length, parts: parts[chunk], first },
        bindings: { gradient: { arena, chunk }, sums },
        workgroups: to.flat(parts[chunk], team.THREADS),
      });
      first += parts[chunk];
    });
    sumRows(to, { sources: [{ binding: sums, rows: 1 }], length: all }, node.outputs[0], { across: true, root: true });
  },
};

/**
 * The L2 norm over the arena of gradients, all parameters together, a vector [1]. Its place among the nodes decides
 * what it sees: after the gradients were made, before an update that clips them.
 * @param gradients gradients that this graph makes; they have to be made first
 */
export function gradientNorm(graph: Graph, variables: Variables, gradients: readonly Tensor[]): Tensor {
  return graph.record(gradientNormOp, gradients, [{ shape: [1], layout: 'vector' }], { variables })[0];
}
