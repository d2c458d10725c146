import type { Op } from '../graph.js';
import type { Lowering } from '../lowering.js';
import type { Variables } from '../variables.js';
import { overParameters, type UpdateOptions } from './overParameters.js';

/** Inputs: hyper (the learning rate first), the squares, the gradients, and the gate where there is one. Output: the norm. */
interface Attributes extends UpdateOptions {
  variables: Variables;
  momentum: number;
  nesterov: boolean;
  weightDecay: number;
}

/** The arena of momentum, used only when momentum is not 0. */
export const SGD_STATE = 'sgd.momentum';

export const sgdOp: Op<Attributes> = {
  name: 'sgd',
  effect: true,
  lower(node, to: Lowering) {
    const { variables, momentum, nesterov, weightDecay, clipNorm, gate } = node.attributes;
    overParameters(to, 'sgd', variables, {
      constants: { MOMENTUM: momentum !== 0, NESTEROV: nesterov },
      params: { momentum, weightDecay },
      state: momentum !== 0 ? { velocity: SGD_STATE } : {},
      hyper: node.inputs[0],
      squares: node.inputs[1],
      norm: node.outputs[0],
      clipNorm,
      gate,
    });
  },
};
