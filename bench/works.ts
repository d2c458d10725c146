/**
 * The calls that are benched, taken from recorded steps and fused as a plan fuses them: every different one of a training step
 * of both nets, and of further steps those whose op the two do not have.
 */
import { gradients } from '../engine/autograd.js';
import type { Device, DeviceTraits } from '../engine/device.js';
import { fuseNodes } from '../engine/fuse.js';
import { Graph, type Node, Tensor } from '../engine/graph.js';
import { conv2d } from '../engine/ops/conv2d.js';
import { Variables } from '../engine/variables.js';
import { NetContext } from '../nets/context.js';
import { type LossName, losses } from '../nets/losses.js';
import { buildNetwork, type NetworkName, networks } from '../nets/networks.js';
import { recordTraining, type TrainingSettings } from '../nets/steps.js';
import { shapeOf, variablesOf } from './cost.js';

export interface WorkSizes {
  size: number;
  baseWidth: number;
  batch: number;
}

export interface Work {
  /** The op's name. */
  name: string;
  shape: string;
  node: Node;
}

const NETS: readonly NetworkName[] = ['unet', 'resnet34-unet'];

/** Settings of a training step as the reports have it. */
export const stepSettings = (net: NetworkName, { size, baseWidth, batch }: WorkSizes): TrainingSettings => ({
  net,
  size,
  baseWidth,
  batch,
  loss: 'bce-dice',
  optimizer: { kind: 'adam' },
  clipNorm: 1,
  seed: 1,
  initialisation: 'pytorch',
});

/** The convolution that the figures of other engines are known for: 3x3, N=2, 64 to 64 channels, 64x64. */
function knownConvolution(): Graph {
  const graph = new Graph();
  const x = graph.input('x', [2, 64, 64, 64]);
  const w = graph.input('w', [64, 64, 3, 3], 'filter');
  const y = conv2d(x, w, undefined, { padding: 1 });
  gradients([y], [graph.input('dy', y.shape)], [x, w]);
  return graph;
}

/** Steps that have ops which the two nets' own do not: resizing, dropout, the other losses and optimizers, micro-batches. */
const further = (sizes: WorkSizes): TrainingSettings[] => {
  const base = stepSettings('unet', sizes);
  return [
    { ...base, net: 'unet-bilinear' },
    { ...base, net: 'unet-dropout' },
    ...(Object.keys(losses) as LossName[]).map((loss) => ({ ...base, loss })),
    { ...base, optimizer: { kind: 'sgd', momentum: 0.9 }, ema: 0.99 },
    { ...base, microBatches: sizes.batch },
  ];
};

/** Inference without loss and counts. */
function inference(variables: Variables, { size, baseWidth, batch }: WorkSizes): Graph {
  const graph = new Graph();
  const net = new NetContext(graph, variables, false, 1);
  buildNetwork(net, graph.input('image', [batch, 3, size, size]), networks.unet, { width: baseWidth, classes: 1 });
  return graph;
}

/** What tells two calls apart: the op, its shapes, and its options, which may hold tensors or the set of variables. */
function identity(node: Node): string {
  const describe = ({ shape, layout }: Tensor): string => `${layout} ${shape}`;
  const options = JSON.stringify(node.attributes, (_, value: unknown) =>
    value instanceof Variables || value instanceof Tensor ? undefined : value,
  );
  return [node.op.name, shapeOf(node), ...node.inputs.map(describe), ...node.outputs.map(describe), options].join('; ');
}

/** The works of one device, whose memory for parameters is freed by `destroy`. */
export function collectWorks(device: Device, sizes: WorkSizes): { works: Work[]; destroy(): void } {
  const owned: Variables[] = [];
  const own = (): Variables => {
    owned.push(new Variables(device));
    return owned[owned.length - 1];
  };
  const record = (settings: TrainingSettings): Graph => recordTraining(own(), settings).pass.graph;

  // None of the outputs of these steps is a value that fusing would do away with. Plain kernels take no statistics along, so that every
  // family can do the same work.
  const traits: DeviceTraits = { ...device.traits, kernels: 'plain' };
  const fusedNodes = ({ nodes }: Graph): Node[] => fuseNodes(nodes, [], traits).nodes;

  const main = [knownConvolution(), ...NETS.map((net) => record(stepSettings(net, sizes)))].flatMap(fusedNodes);
  const known = new Set(main.map(({ op }) => op.name));
  const rest = [...further(sizes).map(record), inference(own(), sizes)].flatMap((graph) =>
    fusedNodes(graph).filter(({ op }) => !known.has(op.name)),
  );
  const works = new Map<string, Work>();
  const labels = new Map<string, number>();
  for (const node of [...main, ...rest]) {
    const key = identity(node);
    if (works.has(key)) continue;
    // Calls of one shape that differ in an option only.
    const label = `${node.op.name} ${shapeOf(node)}`;
    const before = labels.get(label) ?? 0;
    labels.set(label, before + 1);
    works.set(key, { name: node.op.name, shape: shapeOf(node) + (before > 0 ? ` (${before + 1})` : ''), node });
  }
  // Stable, so that each op keeps the order of the nets.
  const sorted = [...works.values()].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  return { works: sorted, destroy: () => owned.forEach((variables) => variables.destroy()) };
}

/** A graph of this call alone, its inputs given by the host. Ops over all parameters keep their arenas. */
export function isolate(node: Node): Graph {
  const graph = new Graph();
  const inputs = new Map<Tensor, Tensor>();
  // Gradients come to an optimizer in its arena; the tensors only set the order.
  const needed = variablesOf(node) ? node.inputs.filter((input) => !input.gradientOf) : node.inputs;
  for (const input of new Set(needed)) inputs.set(input, graph.input(input.name, input.shape, input.layout));
  const replace = (value: unknown): unknown => {
    if (value instanceof Tensor) return inputs.get(value);
    if (Array.isArray(value)) return value.map(replace);
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, replace(part)]));
  };
  graph.record(
    node.op,
    needed.map((input) => inputs.get(input)!),
    node.outputs.map(({ shape, layout, name }) => ({ shape, layout, name })),
    replace(node.attributes),
  );
  return graph;
}
