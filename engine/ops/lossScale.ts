import { type Op, recordOne, type Tensor } from '../graph.js';
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

/** [squares, state] to [gate]; state is changed. */
export const lossScaleUpdateOp: Op<Attributes> = {
  name: 'lossScaleUpdate',
  effect: true,
  lower({ inputs: [squares, state], outputs: [gate], attributes }, to) {
    to.dispatch({
      shader: 'lossScale',
      entry: 'update',
      params: { ...attributes },
      bindings: { squares, state, gate },
      workgroups: [1, 1, 1],
    });
  },
};

/** one * scale, a vector [1]: differentiation that begins with it gives scaled gradients. */
export const lossScaleSeed = (one: Tensor, state: Variable): Tensor =>
  recordOne(lossScaleSeedOp, [one, one.graph.read(state)], { shape: [1], layout: 'vector' }, {});

/**
 * Moves the scale on after a step's gradients.
 * @param squares of the scaled gradients, as `gradientSquares` gives them
 * @returns the gate that an optimizer's kernel takes, a vector [2]: [1 / scale, 1], or [1 / scale, 0] where the step is to be skipped
 */
export const lossScaleUpdate = (squares: Tensor, state: Variable, attributes: Attributes): Tensor =>
  recordOne(
    lossScaleUpdateOp,
    [squares, squares.graph.read(state)],
    { shape: [2], layout: 'vector', name: 'gate' },
    attributes,
  );
