import { type Graph, type Op, recordOne, type Tensor } from '../graph.js';
import type { Variable } from '../variables.js';

/** Good steps in a row after which the scale doubles, and where it stops doubling. */
interface Attributes {
  interval: number;
  largest: number;
}

/** [one, state] to [seed]. */
export const lossScaleSeedOp: Op = {
  name: 'lossScaleSeed',
  lower({ inputs: [one, scale], outputs: [seed] }, to) {
    to.dispatch({
      shader: 'lossScale',
      entry: 'makeSeed',
      params: { interval: 0, largest: 0 },
      bindings: { one, scale, seed },
      workgroups: [1, 1, 1],
    });
  },
};

/** [norm, state] to [gate, unscaled norm]; state is changed. */
export const lossScaleUpdateOp: Op<Attributes> = {
  name: 'lossScaleUpdate',
  effect: true,
  lower({ inputs: [norm, state], outputs: [gate, unscaled], attributes }, to) {
    to.dispatch({
      shader: 'lossScale',
      entry: 'update',
      params: { ...attributes },
      bindings: { norm, state, gate, unscaled },
      workgroups: [1, 1, 1],
    });
  },
};

/** one * scale, a vector [1]: differentiation that begins with it gives scaled gradients. */
export const lossScaleSeed = (one: Tensor, state: Variable): Tensor =>
  recordOne(lossScaleSeedOp, [one, one.graph.read(state)], { shape: [1], layout: 'vector' }, {});

/** What an optimizer's kernel takes: [1 / scale, 1], or [1 / scale, 0] where the step is to be skipped. */
export interface Gate {
  gate: Tensor;
  /** Of the gradients without the scale; not finite where one of them is not. */
  norm: Tensor;
}

/**
 * Moves the scale on after a step's gradients.
 * @param norm of the scaled gradients, a vector [1]
 */
export function lossScaleUpdate(graph: Graph, norm: Tensor, state: Variable, attributes: Attributes): Gate {
  const [gate, unscaled] = graph.record(
    lossScaleUpdateOp,
    [norm, graph.read(state)],
    [
      { shape: [2], layout: 'vector', name: 'gate' },
      { shape: [1], layout: 'vector', name: 'norm' },
    ],
    attributes,
  );
  return { gate, norm: unscaled };
}
