/**
 * Fewer passes over memory: nodes that would read what the one before them has just written become one node.
 *
 * | kind | instead of | passes |
 * |---|---|---|
 * | `batchNorm2d+relu` | batch norm; ReLU | its output is written once instead of written, read and written |
 * | `batchNorm2d+add+relu`, `batchNorm2d+relu+add` | batch norm and both, in that order | the same, twice |
 * | `add+relu` | a sum; ReLU | |
 * | `add+reluGradient` | the sum of two gradients; ReLU's gradient | the sum is not written, nor read again |
 * | `conv2d+batchNorm2dStatistics` | a convolution; batch norm's statistics | the convolution's kernel gives the moments of each of its tiles, and batch norm merges them: the map is not read for its statistics |
 * | `concat+conv2d`, `concat+conv2dWeightGradient` | a convolution of a concatenation, and its filter's gradient | the maps are read where they are, each with its part of the filter: nothing is concatenated |
 * | `conv2dInputGradient+channelSlice` | the gradient of a concatenation, cut up | each map's gradient is computed alone, with its part of the filter: the whole is not made, nor read again |
 * | `segmentationSums` | binary cross entropy, sums for Dice and the like with their sigmoid, counts of pixels: those of the same logits | logits and targets are read once instead of three to four times, probabilities are not made |
 * | `segmentationSumsGradient` | the gradients of these, and their sum | one pass instead of four |
 * | `reluGradient+batchNorm2dGradient` | ReLU's gradient; batch norm's gradients | their passes apply the mask y > 0, with y computed again from x: neither y nor the gradient between is read |
 *
 * Batch norm and ReLU of [8, 16, 96, 96], both ways, take 31 ms of processor time instead of 45, and forward 13 instead of 19
 * (llvmpipe, 8 lanes, 2.5 GHz Xeon, November 2026); the planned buffers of a UNet step of width 64, 256x256, batch 8 take 2435
 * MiB instead of 2923. Not done: ReLU's gradient behind a sum has three or four readers, and each would read the mask again.
 * The gradient of ReLU and the sum before it in one pass: 15 dispatches less in a ResNet34-UNet, 42.8 instead of 42.3 images/s (width 16,
 * 128x128, batch 4; llvmpipe, 8 lanes, two threads of a 2.6 GHz Zen 4; at 16 lanes nothing was gained).
 *
 * This happens when a plan is made, after gradients are recorded, so neither nets nor gradients know of it. A value that the
 * plan has to show, or that anyone else reads, stays. Sums keep their order, but for statistics and `segmentationSums`; else
 * only which of nearly equal roundings a compiler takes may differ from the plain plan.
 */
import type { DeviceTraits } from './device.js';
import type { Node, Op, Tensor } from './graph.js';
import { addOp, addReluOp } from './ops/add.js';
import { batchNorm2dGradientOp, type Epilogue, isBatchNorm2d, throughRelu, withEpilogue } from './ops/batchNorm2d.js';
import { addReluGradientOp, reluGradientOp, reluOp } from './ops/relu.js';
import { takeConcatsApart } from './fuseConcat.js';
import { takeSumsTogether } from './fuseSegmentation.js';
import { takeStatisticsAlong } from './fuseStatistics.js';
import { Uses } from './uses.js';

export interface Fusion {
  /** To be lowered in this order. */
  nodes: Node[];
  /** How often each kind occurs. */
  fused: Record<string, number>;
}

/**
 * @param nodes those that a plan needs, in order; they are left as they are
 * @param outputs tensors that will be read after a step
 * @param traits of the device: a binding's alignment, and the forms of the convolutions
 */
export function fuseNodes(nodes: readonly Node[], outputs: readonly Tensor[], traits: DeviceTraits): Fusion {
  const fused: Record<string, number> = {};
  const count = (kind: string) => (fused[kind] = (fused[kind] ?? 0) + 1);
  // Gradients first: those that compute y again no longer read ReLU's output, which then has one reader less.
  const masked = fuseGradients(nodes, new Uses(nodes, outputs), count);
  const apart = takeConcatsApart(masked, new Uses(masked, outputs), traits.storageOffsetAlignment, count);
  const merged = fuseForward(apart, new Uses(apart, outputs), count);
  const together = takeSumsTogether(merged, new Uses(merged, outputs), count);
  return { nodes: takeStatisticsAlong(together, traits, count), fused };
}

/** `9 add+relu, 2 batchNorm2d+relu`, over several plans. */
export function describeCounts(plans: readonly Readonly<Record<string, number>>[]): string {
  const kinds = [...new Set(plans.flatMap((counts) => Object.keys(counts)))].sort();
  const times = (kind: string) => plans.reduce((sum, counts) => sum + (counts[kind] ?? 0), 0);
  return kinds.map((kind) => `${times(kind)} ${kind}`).join(', ') || 'nothing';
}

export type Count = (kind: string) => void;

function fuseGradients(nodes: readonly Node[], uses: Uses, count: Count): Node[] {
  const gone = new Set<Node>();
  const instead = new Map<Node, Node>();
  for (const node of nodes) {
    if (node.op !== reluGradientOp) continue;
    const [z, dz] = node.inputs;
    const norm = z.producer?.inputs[0]?.producer;
    const reader = uses.only(node.outputs[0], batchNorm2dGradientOp as Op);
    if (!norm || !isBatchNorm2d(norm) || !reader || !isGradientOf(reader, norm, node.outputs[0])) continue;
    gone.add(node);
    instead.set(reader, throughRelu(reader, dz));
    count('reluGradient+batchNorm2dGradient');
  }
  return nodes.filter((node) => !gone.has(node)).map((node) => instead.get(node) ?? node);
}

/** Whether these are the gradients of a batch normalisation, with `dy` for the gradient of its output and nothing else. */
function isGradientOf({ inputs }: Node, norm: Node, dy: Tensor): boolean {
  const [x, weight, bias, ...running] = norm.inputs;
  const [mean, variance] = norm.outputs.length > 1 ? norm.outputs.slice(1) : running;
  const wanted = [x, dy, weight, bias, mean, variance];
  return inputs.every((input, i) => input === wanted[i]);
}

function fuseForward(nodes: readonly Node[], uses: Uses, count: Count): Node[] {
  const at = new Map(nodes.map((node, i) => [node, i]));
  const gone = new Set<Node>();
  const instead = new Map<Node, Node>();
  // The new node stands where the last of its parts stood: everything that it reads exists there.
  const replace = (parts: readonly Node[], node: Node) => {
    parts.forEach((part) => gone.add(part));
    instead.set(parts[parts.length - 1], node);
    count(node.op.name);
  };
  const isFree = (node: Node | undefined): node is Node => node !== undefined && !gone.has(node);

  for (const norm of nodes.filter(isBatchNorm2d)) {
    const followers = behind(norm, uses);
    if (followers.length === 0 || !followers.every(isFree)) continue;
    const last = followers[followers.length - 1];
    // What it changes, and its statistics, must not be looked at before it gets there.
    const own = [...norm.inputs.slice(3), ...norm.outputs];
    const between = nodes.slice(at.get(norm)! + 1, at.get(last)!);
    if (between.some((node) => !followers.includes(node) && node.inputs.some((input) => own.includes(input)))) continue;
    const epilogue: Epilogue = followers.map(({ op }) => (op === addOp ? 'add' : 'relu'));
    const added = followers.findIndex(({ op }) => op === addOp);
    const before = added > 0 ? followers[added - 1] : norm;
    const addend = followers[added]?.inputs.find((input) => input !== before.outputs[0]);
    replace([norm, ...followers], withEpilogue(norm, epilogue, last.outputs[0], addend));
  }
  for (const sum of nodes.filter(({ op }) => op === addOp)) {
    const relu = uses.only(sum.outputs[0], reluOp);
    if (!isFree(sum) || !isFree(relu)) continue;
    replace([sum, relu], { op: addReluOp, inputs: sum.inputs, outputs: relu.outputs, attributes: {} });
  }
  for (const masked of nodes.filter(({ op }) => op === reluGradientOp)) {
    const [y, dy] = masked.inputs;
    const sum = dy.producer;
    if (sum?.op !== addOp || !isFree(sum) || uses.only(dy, reluGradientOp) !== masked || y === dy) continue;
    replace([sum, masked], {
      op: addReluGradientOp,
      inputs: [y, ...sum.inputs],
      outputs: masked.outputs,
      attributes: {},
    });
  }
  return nodes.flatMap((node) => instead.get(node) ?? (gone.has(node) ? [] : node));
}

/** The nodes whose work a batch normalisation can take over: ReLU, ReLU and a sum, or a sum and ReLU. */
function behind(norm: Node, uses: Uses): Node[] {
  const sumBehind = (y: Tensor): Node | undefined => {
    const sum = uses.only(y, addOp);
    // y + y has nothing to add.
    return sum && sum.inputs[0] !== sum.inputs[1] ? sum : undefined;
  };
  const [y] = norm.outputs;
  const relu = uses.only(y, reluOp);
  if (relu) {
    const sum = sumBehind(relu.outputs[0]);
    return sum ? [relu, sum] : [relu];
  }
  const sum = sumBehind(y);
  const last = sum && uses.only(sum.outputs[0], reluOp);
  return last ? [sum, last] : [];
}
