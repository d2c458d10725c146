import type { Node, Tensor } from './graph.js';
import { add } from './ops/add.js';

/**
 * Reverse-mode differentiation: appends to the graph what computes the gradient of sum(outputs * seeds) for each of `targets`.
 * Only gradients on a path from a target to an output are made.
 *
 * @param seeds the gradient flowing into each output; same shapes as the outputs
 * @returns one tensor a target, of the target's shape
 * @throws Error when an output does not depend on a target, or an op on the way has no gradient
 */
export function gradients(outputs: readonly Tensor[], seeds: readonly Tensor[], targets: readonly Tensor[]): Tensor[] {
  const graph = outputs[0].graph;
  outputs.forEach((output, i) => {
    if (output.shape.join() !== seeds[i].shape.join()) {
      throw new Error(`gradients: seed ${seeds[i]} does not have the shape of the output ${output}`);
    }
  });

  graph.beginGradients();
  const depends = new Set<Tensor>(targets);
  const recorded = graph.nodes.slice();
  for (const node of recorded) {
    if (node.inputs.some((input) => depends.has(input))) node.outputs.forEach((output) => depends.add(output));
  }

  // Contributions are added in the order they arise, which is the same in every run: so are the bits.
  const gradientOf = new Map<Tensor, Tensor>();
  const accumulate = (tensor: Tensor, gradient: Tensor) => {
    const before = gradientOf.get(tensor);
    gradientOf.set(tensor, before ? add(before, gradient) : gradient);
  };
  outputs.forEach((output, i) => accumulate(output, seeds[i]));

  for (const node of recorded.reverse()) {
    const wanted = node.inputs.map((input) => depends.has(input));
    if (!wanted.includes(true) || !node.outputs.some((output) => gradientOf.has(output))) continue;
    differentiate(node, wanted, gradientOf).forEach((gradient, i) => {
      if (gradient && wanted[i]) accumulate(node.inputs[i], gradient);
    });
  }

  return targets.map((target) => {
    const gradient = gradientOf.get(target);
    if (!gradient) throw new Error(`gradients: ${target} has no influence on ${outputs.join(', ')}`);
    return gradient;
  });
}

function differentiate(node: Node, wanted: boolean[], gradientOf: Map<Tensor, Tensor>): (Tensor | undefined)[] {
  if (!node.op.gradient) throw new Error(`gradients: ${node.op.name} has no gradient, and ${node.inputs} needs one`);
  return node.op.gradient(
    node,
    node.outputs.map((output) => gradientOf.get(output)),
    wanted,
  );
}
