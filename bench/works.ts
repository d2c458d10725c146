/**
 * The calls that are benched, taken from recorded steps and fused as a plan fuses them: every different one of a training step
 * of both nets, and of further steps those whose op the two do not have.
 */
import { gradients } from '../engine/autograd.js';
import type { Device } from '../engine/device.js';
import { fuseNodes } from '../engine/fuse.js';
import { Graph, type Node, Tensor } from '../engine/graph.js';
import type { Dtype } from '../engine/layout.js';
import { conv2d } from '../engine/ops/conv2d.js';
import { Variables } from '../engine/variables.js';
import { NetContext } from '../nets/context.js';
import { type LossName, losses } from '../nets/losses.js';
import { buildNetwork, type NetworkName, networks } from '../nets/networks.js';
import { recordTraining, type TrainingSettings } from '../nets/trainingStep.js';
import { shapeOf } from './cost.js';

export interface WorkSizes {
  size: number;
  baseWidth: number;
  batch: number;
  /** Of the nets' images. */
  precision: Dtype;
}

export interface Work {
  /** The op's name. */
  name: string;
  shape: string;
  /** Of the step that the call is of; losses and optimizers are f32 in either. */
  precision: Dtype;
  node: Node;
}

const NETS: readonly NetworkName[] = ['unet', 'resnet34-unet'];

/** Settings of a training step as the reports have it. */
export const stepSettings = (net: NetworkName, { size, baseWidth, batch, precision }: WorkSizes): TrainingSettings => ({
  net,
  size,
  baseWidth,
  batch,
  loss: 'bce-dice',
  optimizer: { kind: 'adam' },
  clipNorm: 1,
  seed: 1,
  initialisation: 'pytorch',
  precision,
});

/** The convolution that the figures of other engines are known for: 3x3, N=2, 64 to 64 channels, 64x64. */
function knownConvolution(precision: Dtype): Graph {
  const graph = new Graph();
  const x = graph.input('x', [2, 64, 64, 64], 'image', precision);
  const w = graph.input('w', [64, 64, 3, 3], 'filter');
  const y = conv2d(x, w, undefined, { padding: 1 });
  gradients([y], [graph.input('dy', y.shape, 'image', precision)], [x, w]);
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
function inference(variables: Variables, { size, baseWidth, batch, precision }: WorkSizes): Graph {
  const graph = new Graph();
  const net = new NetContext(graph, variables, false, 1);
  const image = graph.input('image', [batch, 3, size, size], 'image', precision);
  buildNetwork(net, image, networks.unet, { width: baseWidth, classes: 1 });
  return graph;
}

/** What tells two calls apart: the op, its shapes, and its options, which may hold tensors or the set of variables. */
function identity(node: Node): string {
  const describe = ({ shape, layout, dtype }: Tensor): string => `${layout} ${dtype} ${shape}`;
  const options = JSON.stringify(node.attributes, (_, value: unknown) =>
    value instanceof Variables || value instanceof Tensor ? undefined : value,
  );
  return [node.op.name, shapeOf(node), ...node.inputs.map(describe), ...node.outputs.map(describe), options].join('; ');
}

/** The works of one device, whose memory for parameters and loss scales is freed by `destroy`. */
export function collectWorks(device: Device, sizes: WorkSizes): { works: Work[]; destroy(): void } {
  const owned: { destroy(): void }[] = [];
  const own = (): Variables => {
    const variables = new Variables(device);
    owned.push(variables);
    return variables;
  };
  const record = (settings: TrainingSettings): Graph => {
    const { pass, lossScale } = recordTraining(own(), settings);
    if (lossScale) owned.push(lossScale);
    return pass.graph;
  };

  // None of the outputs of these steps is a value that fusing would do away with. Plain kernels take no statistics along, so that
  // every form can do the same work.
  const { traits } = device.withKernels('plain');
  const fusedNodes = ({ nodes }: Graph): Node[] => fuseNodes(nodes, [], traits).nodes;

  const main = [knownConvolution(sizes.precision), ...NETS.map((net) => record(stepSettings(net, sizes)))].flatMap(
    fusedNodes,
  );
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
    const shape = shapeOf(node) + (before > 0 ? ` (${before + 1})` : '');
    works.set(key, { name: node.op.name, shape, precision: sizes.precision, node });
  }
  // Stable, so that each op keeps the order of the nets.
  const sorted = [...works.values()].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  return { works: sorted, destroy: () => owned.forEach((part) => part.destroy()) };
}
