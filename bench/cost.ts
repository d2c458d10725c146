/** What a recorded call costs at least, whatever kernel computes it: the roofline's two numbers. */
import type { Node, Tensor } from '../engine/graph.js';
import { variablesOf } from '../engine/isolate.js';
import { elementCount, filterSizes } from '../engine/layout.js';

export interface Cost {
  /** Floating-point operations of a convolution, a multiply-add as two; 0 for ops that are all memory. */
  flop: number;
  /** Bytes of its inputs and outputs, each once. */
  bytes: number;
}

/** The image whose every pixel meets every weight once, and the filter. */
const convolutions: Record<string, (node: Node) => [pixels: Tensor, filter: Tensor]> = {
  conv2d: ({ inputs, outputs, attributes }) => [outputs[0], inputs[(attributes as { maps?: number }).maps ?? 1]],
  conv2dInputGradient: ({ inputs }) => [inputs[0], inputs[1]],
  conv2dWeightGradient: ({ inputs, outputs }) => [inputs[inputs.length - 1], outputs[0]],
  convTranspose2d: ({ inputs }) => [inputs[0], inputs[1]],
  convTranspose2dInputGradient: ({ inputs, outputs }) => [outputs[0], inputs[1]],
  convTranspose2dWeightGradient: ({ inputs, outputs }) => [inputs[0], outputs[0]],
};

/** How often ops over all parameters read or write a number a parameter: the arenas that they take. */
const arenaPasses: Record<string, number> = {
  gradientSquares: 1,
  adam: 7,
  sgd: 5,
  movingAverage: 3,
  accumulateGradients: 3,
};

export const isConvolution = ({ op }: Node): boolean => op.name in convolutions;

export function costOf(node: Node): Cost {
  const variables = variablesOf(node);
  if (variables) {
    const bytes = variables.arena('parameters').chunkBytes.reduce((sum, size) => sum + size, 0);
    return { flop: 0, bytes: bytes * (arenaPasses[node.op.name] ?? 1) };
  }
  const bytes = [...node.inputs, ...node.outputs].reduce((total, tensor) => total + tensor.bytes, 0);
  const convolution = convolutions[node.op.name]?.(node);
  if (!convolution) return { flop: 0, bytes };
  const [pixels] = convolution;
  const { out, reduction, taps } = sizesOf(node, convolution[1]);
  const [batch, , height, width] = pixels.shape;
  return { flop: 2 * batch * height * width * out * reduction * taps, bytes };
}

/** The gradient of one of several concatenated maps has its part of the filter alone. */
function sizesOf({ op, outputs }: Node, filter: Tensor) {
  const sizes = filterSizes(filter.shape, filter.layout);
  return op.name === 'conv2dInputGradient' ? { ...sizes, reduction: outputs[0].shape[1] } : sizes;
}

const size = (tensor: Tensor): string => tensor.shape.join('x');

/** The call's sizes, for people and for finding the same work in an older file. */
export function shapeOf(node: Node): string {
  const variables = variablesOf(node);
  if (variables) return `${variables.parameterCount} parameters`;
  const convolution = convolutions[node.op.name]?.(node);
  if (!convolution) {
    const largest = [...node.inputs].sort((a, b) => elementCount(b.shape) - elementCount(a.shape))[0];
    return [largest, node.outputs[0]].flatMap((tensor) => (tensor ? [size(tensor)] : [])).join(' -> ');
  }
  const { kernel, stride, padding } = node.attributes as Record<'kernel' | 'stride' | 'padding', readonly number[]>;
  const pair = ([rows, columns]: readonly number[]): string => (rows === columns ? `${rows}` : `${rows}x${columns}`);
  const { out, reduction } = sizesOf(node, convolution[1]);
  const [batch, , height, width] = convolution[0].shape;
  // The map is the one on the side that the stride makes small.
  return `N${batch} ${reduction}->${out} ${height}x${width} k${pair(kernel)} s${pair(stride)} p${pair(padding)}`;
}
