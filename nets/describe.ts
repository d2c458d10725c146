/** What a network is made of: its layers with shapes, parameters and multiply-adds, read from the recorded graph. */
import type { Device, DeviceTraits } from '../engine/device.js';
import { Graph, type Node } from '../engine/graph.js';
import { elementCount, type Shape } from '../engine/layout.js';
import { conv2dOp } from '../engine/ops/conv2d.js';
import { convTranspose2dOp } from '../engine/ops/convTranspose2d.js';
import { Variables } from '../engine/variables.js';
import { NetContext } from './context.js';
import { buildNetwork, type NetworkName, networks } from './networks.js';

export interface Layer {
  /** Scope and op: `enc1.conv1.conv2d`. */
  name: string;
  op: string;
  /** (N, C, H, W) for one image. */
  output: Shape;
  /** Trained numbers that no layer before has. */
  parameters: number;
  /** Products of a value and a weight in convolutions; other ops count none. */
  multiplyAdds: number;
}

export interface NetworkDescription {
  net: NetworkName;
  width: number;
  size: number;
  classes: number;
  layers: Layer[];
  parameters: number;
  multiplyAdds: number;
}

/** Report 0's two nets end in two classes, every other one in one logit. */
export const reportClasses = (net: NetworkName): number =>
  net === 'unet-bilinear' || net === 'resnet34-unet-bilinear' ? 2 : 1;

/** Recording asks a device for these limits alone, and a description is of no adapter in particular. */
const ANY_DEVICE = {
  traits: { maxBindingBytes: Infinity, storageOffsetAlignment: 1 } satisfies Partial<DeviceTraits>,
} as unknown as Device;

/**
 * Describes the forward pass of a network on one RGB image. Records it only: no device, no memory, no pipelines.
 * @param width base width, 64 in the reports
 * @param size height and width of the image
 * @throws Error when the network does not take this width or size
 */
export function describeNetwork(
  net: NetworkName,
  { width = 64, size = 256, classes = reportClasses(net) }: { width?: number; size?: number; classes?: number } = {},
): NetworkDescription {
  const graph = new Graph();
  const variables = new Variables(ANY_DEVICE);
  const context = new NetContext(graph, variables, false, 0);
  buildNetwork(context, graph.input('image', [1, 3, size, size]), networks[net], { width, classes });
  const seen = new Set<string>();
  const layers = graph.nodes.map((node) => {
    const own = node.inputs.flatMap(({ variable }) =>
      variable?.trainable && !seen.has(variable.name) ? [variable] : [],
    );
    own.forEach(({ name }) => seen.add(name));
    const [output] = node.outputs;
    return {
      name: output.name,
      // Batch norm's forward pass has another op when it trains; the layer is the same.
      op: node.op.name.replace(/Evaluation$/, ''),
      output: output.shape,
      parameters: own.reduce((sum, { shape }) => sum + elementCount(shape), 0),
      multiplyAdds: multiplyAdds(node),
    };
  });
  const sum = (key: 'parameters' | 'multiplyAdds') => layers.reduce((total, layer) => total + layer[key], 0);
  return { net, width, size, classes, layers, parameters: sum('parameters'), multiplyAdds: sum('multiplyAdds') };
}

/** A convolution multiplies each output by its C * kh * kw weights, a transposed one each input by its O * kh * kw. */
function multiplyAdds({ op, inputs, outputs }: Node): number {
  if (op !== conv2dOp && op !== convTranspose2dOp) return 0;
  const [x, weight] = inputs;
  const image = op === conv2dOp ? outputs[0] : x;
  return elementCount(image.shape) * elementCount(weight.shape.slice(1));
}

/** As a table, a line a layer and the totals. */
export function networkTable({
  net,
  width,
  size,
  classes,
  layers,
  parameters,
  multiplyAdds,
}: NetworkDescription): string {
  const count = (n: number) => (n === 0 ? '' : String(n).replace(/\B(?=(\d{3})+$)/g, ' '));
  const rows = [
    ['layer', 'op', 'output', 'parameters', 'multiply-adds'],
    ...layers.map((layer) => {
      const scope = layer.name.endsWith(`.${layer.op}`) ? layer.name.slice(0, -layer.op.length - 1) : layer.name;
      const name = scope === layer.op ? '' : scope;
      const output = layer.output.slice(1).join(' x ');
      return [name, layer.op, output, count(layer.parameters), count(layer.multiplyAdds)];
    }),
    ['total', '', '', count(parameters), count(multiplyAdds)],
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  );
  const title = `${net}, base width ${width}, ${classes} ${classes === 1 ? 'class' : 'classes'}, one image of ${size}x${size}`;
  const total = `${count(parameters)} parameters, ${(multiplyAdds / 1e9).toFixed(2)} GMAC forward`;
  return [title, '', ...lines, '', total].join('\n');
}
