import type { DeviceTraits } from './device.js';
import type { Count } from './fuse.js';
import { type Node, type Op, Tensor } from './graph.js';
import { vec4s } from './layout.js';
import { isTraining, withMoments } from './ops/batchNorm2d.js';
import { MOMENTS } from './ops/batchNormPasses.js';
import { conv2dOp, momentTiles } from './ops/conv2d.js';

/**
 * Batch norm in training of what a convolution gives: the kernel that has a tile of it in registers also writes the tile's moments, and
 * batch norm merges those instead of reading the map for its statistics. Where the convolution's kernel cannot, everything stays.
 */
export function takeStatisticsAlong(nodes: readonly Node[], traits: DeviceTraits, count: Count): Node[] {
  const instead = new Map<Node, Node>();
  const producers = new Map(nodes.filter(({ op }) => op === (conv2dOp as Op)).map((node) => [node.outputs[0], node]));
  for (const norm of nodes) {
    const [x] = norm.inputs;
    const conv = x && producers.get(x);
    if (!conv || instead.has(conv) || !isTraining(norm)) continue;
    const tiles = momentTiles(traits, conv);
    if (tiles === undefined) continue;
    const shape = [tiles * vec4s(x.shape[1]) * MOMENTS * 4];
    const moments = new Tensor(x.graph, x.id, shape, 'vector', `${x.name}.moments`);
    const along: Node = { ...conv, outputs: [...conv.outputs, moments] };
    moments.producer = along;
    instead.set(conv, along);
    instead.set(norm, withMoments(norm, moments));
    count('conv2d+batchNorm2dStatistics');
  }
  return nodes.map((node) => instead.get(node) ?? node);
}
