import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementwise } from './elementwise.js';

interface Attributes {
  factor: number;
}

export const scaleOp: Op<Attributes> = {
  name: 'scale',
  lower(node, to) {
    elementwise(to, 'scale', { x: node.inputs[0], y: node.outputs[0] }, { params: { factor: node.attributes.factor } });
  },
  gradient: (node, [dy]) => [scale(dy!, node.attributes.factor)],
};

/**
 * y = factor * x, element by element. The factor is fixed for the life of a plan.
 * @throws Error when the factor is not finite
 */
export function scale(x: Tensor, factor: number): Tensor {
  if (!Number.isFinite(factor)) throw new Error(`scale: the factor for ${x} is ${factor}; a finite number is needed`);
  return recordOne(scaleOp, [x], { shape: x.shape, layout: x.layout }, { factor });
}
