import type { Graph, Node, Op, Tensor } from '../graph.js';
import type { Lowering } from '../lowering.js';
import type { Variables } from '../variables.js';

interface Attributes {
  variables: Variables;
}

/** The set of arenas with the averages (`Variables.valuesOf`), and the arenas that a checkpoint has to hold. */
export const EMA = 'ema';
export const EMA_STATE = [EMA, `${EMA}.buffers`] as const;

export const movingAverageOp: Op<Attributes> = {
  name: 'movingAverage',
  effect: true,
  lower(node: Node<Attributes>, to: Lowering) {
    const { variables } = node.attributes;
    const [decay] = node.inputs;
    for (const [from, into] of [
      ['parameters', EMA_STATE[0]],
      ['buffers', EMA_STATE[1]],
    ]) {
      const value = variables.arena(from);
      const average = variables.arena(into);
      value.chunkBytes.forEach((bytes, chunk) => {
        to.dispatch({
          shader: 'movingAverage',
          params: { count: bytes / 16 },
          bindings: { value: { arena: value, chunk }, average: { arena: average, chunk }, decay },
          workgroups: to.flat(bytes / 16),
        });
      });
    }
  },
};

/**
 * Records the exponential moving average of all parameters and buffers behind everything recorded so far. Buffers are
 * averaged too, because running statistics follow the present weights.
 * @returns the input that takes `movingAverageDecay` before every step
 */
export function movingAverage(graph: Graph, variables: Variables): Tensor {
  const decay = graph.input('decay of the average', [1], 'vector');
  graph.record(movingAverageOp, [decay], [], { variables });
  return decay;
}

/**
 * What the average keeps of itself in a step: decay (1 - decay^(step - 1)) / (1 - decay^step), which is 0 in the first one
 * and tends to `decay`. So the average is that of the weights after each step, the weight of those k steps ago being
 * proportional to decay^k; where training began does not enter. Source: Kingma and Ba, "Adam", 2015, section 7.2.
 * @param step counts from 1
 */
export const movingAverageDecay = (decay: number, step: number): number =>
  (decay * (1 - decay ** (step - 1))) / (1 - decay ** step);
