/**
 * Less memory for a little time: results of cheap ops are not kept for the backward pass, but computed again in front of the
 * gradients that read them (Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016, section 3: keep
 * what convolutions give, drop batch norm, activation and concatenation). The same kernels read the same values, so the numbers
 * are the same, bit for bit; what an op changes (running statistics) it changes once, since `Op.again` gives a call that does not.
 *
 * This happens when a plan is made, behind fusing, so neither nets nor gradients know of it.
 */
import { type Node, Tensor } from './graph.js';

/**
 * Most calls behind each other for one value. Without an end, a chain of residual blocks would be computed from its beginning
 * for each of them; three reach over a block, the up-convolution behind it and their concatenation.
 */
const DEPTH = 3;

/** A value that is there stays for a reader at most this many calls on, which is within the gradients of one block. */
const REACH = 10;

export interface Recomputation {
  /** To be lowered in this order. */
  nodes: Node[];
  /** How often each op is called again. */
  recomputed: Record<string, number>;
}

/**
 * @param nodes those that a plan needs, in order, fused or not
 * @param outputs tensors that will be read after a step
 */
export function recomputeNodes(nodes: readonly Node[], outputs: readonly Tensor[]): Recomputation {
  const begin = nodes.findIndex(({ outputs: [y] }) => y && y.id >= (y.graph.firstGradient ?? Infinity));
  if (begin < 0) return { nodes: [...nodes], recomputed: {} };
  const forward = nodes.slice(0, begin);
  const backward = nodes.slice(begin);
  const dropped = chooseDropped(forward, backward, outputs);
  const recomputed: Record<string, number> = {};
  const result: Node[] = [...forward];
  // Where each dropped value is, and which call read it last.
  const there = new Map<Tensor, { tensor: Tensor; last: number }>();
  forward.forEach((node, at) => {
    for (const tensor of [...node.outputs, ...node.inputs])
      if (dropped.has(tensor)) there.set(tensor, { tensor, last: at });
  });

  const present = (tensor: Tensor, at: number): Tensor => {
    const call = dropped.get(tensor);
    if (!call) return tensor;
    const known = there.get(tensor);
    if (known && at - known.last <= REACH) {
      known.last = at;
      return known.tensor;
    }
    const { op, attributes, inputs } = call;
    const copy = new Tensor(tensor.graph, tensor.id, tensor.shape, tensor.layout, `${tensor.name} again`, tensor.dtype);
    const node: Node = { op, attributes, inputs: inputs.map((input) => present(input, at)), outputs: [copy] };
    copy.producer = node;
    result.push(node);
    recomputed[op.name] = (recomputed[op.name] ?? 0) + 1;
    there.set(tensor, { tensor: copy, last: at });
    return copy;
  };
  backward.forEach((node, i) => {
    const inputs = node.inputs.map((input) => present(input, begin + i));
    result.push(inputs.some((input, k) => input !== node.inputs[k]) ? { ...node, inputs } : node);
  });
  return { nodes: result, recomputed };
}

type Call = Pick<Node, 'op' | 'inputs' | 'attributes'>;

/** The values that are not kept, and the call that gives each again. */
function chooseDropped(
  forward: readonly Node[],
  backward: readonly Node[],
  outputs: readonly Tensor[],
): Map<Tensor, Call> {
  const readBackward = new Set(backward.flatMap(({ inputs }) => inputs));
  const dropped = new Map<Tensor, Call>();
  const depths = new Map<Tensor, number>();
  /** What a value's calls read in the end. */
  const sources = new Map<Tensor, ReadonlySet<Tensor>>();
  for (const node of forward) {
    const [y] = node.outputs;
    const call = node.op.again?.(node);
    if (!call || outputs.includes(y)) continue;
    const depth = 1 + Math.max(...call.inputs.map((input) => depths.get(input) ?? 0));
    const from = new Set(call.inputs.flatMap((input) => [...(sources.get(input) ?? [input])]));
    // What would have to be kept in its place, because nothing else does.
    const instead = [...from].filter(
      (tensor) => tensor.producer && !readBackward.has(tensor) && !outputs.includes(tensor),
    );
    const bytes = instead.reduce((sum, tensor) => sum + tensor.bytes, 0);
    if (depth > DEPTH || bytes >= y.bytes) continue;
    dropped.set(y, call);
    depths.set(y, depth);
    sources.set(y, from);
  }
  return dropped;
}
