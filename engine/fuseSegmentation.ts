import type { Count } from './fuse.js';
import type { Node, Op, Tensor } from './graph.js';
import { addOp } from './ops/add.js';
import { bceWithLogitsLossGradientOp, bceWithLogitsLossOp } from './ops/bceWithLogitsLoss.js';
import { diceSumsGradientOp, diceSumsOp } from './ops/overlapLoss.js';
import { segmentationCountsOp } from './ops/segmentationCounts.js';
import { type Attributes, segmentationSumsGradientOp, segmentationSumsOp } from './ops/segmentationSums.js';
import { sigmoidGradientOp, sigmoidOp } from './ops/sigmoid.js';
import type { Uses } from './uses.js';

/** Nodes that read the same logits and targets, by what they make of them. */
interface Group {
  z: Tensor;
  t: Tensor;
  bce?: Node;
  dice?: Node;
  counts?: Node;
  /** That `dice` alone reads, but for the gradient. */
  sigmoid?: Node;
  /** From the gradient of `dice` to that of the logits. */
  backward: Node[];
}

/**
 * The sums over logits and targets that a loss and the counts of a step need, in one node, and the gradient that comes back
 * through them in another. Probabilities, and the gradients between, are not made.
 */
export function takeSumsTogether(nodes: readonly Node[], uses: Uses, count: Count): Node[] {
  const gone = new Set<Node>();
  const instead = new Map<Node, Node>();
  const replace = (parts: readonly Node[], at: Node, node: Node) => {
    parts.forEach((part) => gone.add(part));
    instead.set(at, node);
    count(node.op.name);
  };
  for (const { z, t, bce, dice, counts, sigmoid, backward } of groupsOf(nodes, uses)) {
    const parts = [bce, dice, counts].filter((node) => node !== undefined);
    // Without a second reader there is nothing to share, but for the sigmoid.
    if (parts.length < 2 && !dice) continue;
    const attributes = {
      bce: bce?.attributes,
      dice: dice?.attributes,
      counts: counts?.attributes,
    } as Attributes;
    // Whatever reads one of the results stands behind the first of the parts, and z and t before it.
    const all = [...parts, ...(sigmoid ? [sigmoid] : [])];
    const first = nodes.find((node) => all.includes(node))!;
    const outputs = parts.flatMap((node) => node.outputs);
    replace(all, first, { op: segmentationSumsOp as Op, inputs: [z, t], outputs, attributes });
    if (backward.length === 0) continue;
    const [ofSums, ofSigmoid] = backward;
    const gradient = { op: segmentationSumsGradientOp as Op, inputs: [z, t, ofSums.inputs[1]] };
    const sum = uses.only(ofSigmoid.outputs[0], addOp);
    const other = sum?.inputs.find((input) => input !== ofSigmoid.outputs[0])?.producer;
    if (bce && sum && other && isGradientOf(other, bce) && uses.only(other.outputs[0], addOp)) {
      const inputs = [...gradient.inputs, other.inputs[2]];
      const both = { bce: attributes.bce, dice: attributes.dice };
      replace([...backward, other, sum], sum, { ...gradient, inputs, outputs: sum.outputs, attributes: both });
    } else {
      replace(backward, ofSigmoid, { ...gradient, outputs: ofSigmoid.outputs, attributes: { dice: attributes.dice } });
    }
  }
  return nodes.flatMap((node) => instead.get(node) ?? (gone.has(node) ? [] : node));
}

const isGradientOf = ({ op, inputs }: Node, bce: Node): boolean =>
  op === (bceWithLogitsLossGradientOp as Op) && bce.inputs.every((input, i) => input === inputs[i]);

/** Of each pair of logits and targets of one channel the first node of each kind. */
function groupsOf(nodes: readonly Node[], uses: Uses): Group[] {
  const groups: Group[] = [];
  const add = (z: Tensor, t: Tensor, kind: 'bce' | 'dice' | 'counts', node: Node, more: Partial<Group> = {}) => {
    if (z.shape[1] !== 1) return;
    let group = groups.find((known) => known.z === z && known.t === t);
    if (!group) groups.push((group = { z, t, backward: [] }));
    if (group[kind] === undefined) Object.assign(group, { [kind]: node }, more);
  };
  for (const node of nodes) {
    const [x, t] = node.inputs;
    if (node.op === (bceWithLogitsLossOp as Op)) add(x, t, 'bce', node);
    else if (node.op === (segmentationCountsOp as Op)) add(x, t, 'counts', node);
    else if (node.op === (diceSumsOp as Op)) {
      const sigmoid = x.producer;
      const backward = sigmoid?.op === sigmoidOp ? backwardOf(node, uses) : undefined;
      if (backward) add(sigmoid!.inputs[0], t, 'dice', node, { sigmoid, backward });
    }
  }
  return groups;
}

/** The gradients of a sum over probabilities and of their sigmoid, none where none are wanted; undefined if others read these. */
function backwardOf(dice: Node, uses: Uses): Node[] | undefined {
  const [p, t] = dice.inputs;
  const readers = uses.of(p);
  const others = readers.filter((node) => node !== dice);
  if (!readers.includes(dice) || others.length > 1) return undefined;
  if (others.length === 0) return [];
  const [ofSigmoid] = others;
  const [y, dy] = ofSigmoid.inputs;
  const ofSums = dy?.producer;
  const whole =
    ofSigmoid.op === sigmoidGradientOp &&
    y === p &&
    ofSums?.op === (diceSumsGradientOp as Op) &&
    ofSums.inputs[0] === t &&
    uses.only(dy, sigmoidGradientOp) === ofSigmoid;
  return whole ? [ofSums, ofSigmoid] : undefined;
}
