import type { Node, Op, Tensor } from '../graph.js';
import type { Lowering } from '../lowering.js';
import type { Variables } from '../variables.js';

interface Attributes {
  variables: Variables;
}

/** The sums of the micro-batches so far, beside the arena of gradients. */
const SUM = 'gradient.sum';

export const accumulateGradientsOp: Op<Attributes> = {
  name: 'accumulateGradients',
  effect: true,
  lower(node: Node<Attributes>, to: Lowering) {
    const { variables } = node.attributes;
    const [control, loss, total] = node.inputs;
    const [arena, sums] = [variables.arena('gradient'), variables.arena(SUM)];
    arena.chunkBytes.forEach((bytes, chunk) => {
      to.dispatch({
        shader: 'accumulateGradients',
        entry: 'gradients',
        params: { count: bytes / 16 },
        bindings: { gradient: { arena, chunk }, sum: { arena: sums, chunk }, control },
        workgroups: to.flat(bytes / 16),
      });
    });
    to.dispatch({
      shader: 'accumulateGradients',
      entry: 'losses',
      params: { count: 1 },
      bindings: { loss, total, control },
      workgroups: [1, 1, 1],
    });
  },
};

export interface Accumulation {
  /** An input: [0, share] for the first micro-batch of a step and [1, share] for the others, `share` one over their number. */
  control: Tensor;
  /** The mean loss of the micro-batches so far, a vector [1] to read from the plan. */
  loss: Tensor;
}

/**
 * Adds the gradients that this graph makes to those of the micro-batches before it: after the last one the arena of gradients
 * holds the sum. The gradients have to carry the factor 1 / micro-batches already, from the seed of differentiation.
 * @param placed as `placeGradients` gives them
 * @param loss of the micro-batch, a vector [1]
 */
export function accumulateGradients(variables: Variables, placed: readonly Tensor[], loss: Tensor): Accumulation {
  const { graph } = loss;
  const control = graph.input('accumulation', [2], 'vector');
  // An input keeps its value over the runs of a plan; the host never writes this one.
  const total = graph.input('loss of the batch', [1], 'vector');
  graph.record(accumulateGradientsOp, [control, loss, total, ...placed], [], { variables });
  return { control, loss: total };
}
