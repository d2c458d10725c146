/** A recorded call on its own: to be timed, and to be compared with what the plain kernels make of it. */
import type { Device } from './device.js';
import { Graph, type Node, Tensor } from './graph.js';
import { elementCount } from './layout.js';
import { Plan } from './plan.js';
import { Random } from './random.js';
import { Variables } from './variables.js';

/** The set of variables that an op runs over; undefined for ops on tensors. */
export function variablesOf({ attributes }: Node): Variables | undefined {
  const { variables } = (attributes ?? {}) as { variables?: unknown };
  return variables instanceof Variables ? variables : undefined;
}

/** A graph of this call alone, its inputs given by the host. Ops over all parameters keep their arenas. */
export function isolate(node: Node): Graph {
  const graph = new Graph();
  const inputs = new Map<Tensor, Tensor>();
  // Gradients come to an optimizer in its arena; the tensors only set the order.
  const needed = variablesOf(node) ? node.inputs.filter((input) => !input.gradientOf) : node.inputs;
  for (const input of new Set(needed)) {
    inputs.set(input, graph.input(input.name, input.shape, input.layout, input.dtype));
  }
  const replace = (value: unknown): unknown => {
    if (value instanceof Tensor) return inputs.get(value);
    if (Array.isArray(value)) return value.map(replace);
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, replace(part)]));
  };
  graph.record(
    node.op,
    needed.map((input) => inputs.get(input)!),
    node.outputs.map(({ shape, layout, name, dtype }) => ({ shape, layout, name, dtype })),
    replace(node.attributes),
  );
  return graph;
}

/** A plan of one call. */
export interface Alone {
  plan: Plan;
  /** Its first output, of what was run last. */
  result(): Promise<Float32Array>;
}

/** Random numbers of an input; longer ones repeat them. A prime, so that no row or channel finds the same ones again. */
const DRAWN = 65521;

/** A plan of one call with random inputs between these bounds, the same for the same call, run once. */
export async function runAlone(device: Device, node: Node, [low, high]: readonly [number, number]): Promise<Alone> {
  const graph = isolate(node);
  const { outputs } = graph.nodes[0];
  const plan = await Plan.compile(device, graph, { outputs });
  for (const input of graph.inputs) {
    const random = new Random('bench', input.name);
    const words = input.layout === 'words';
    const draw = words ? () => random.integer(2 ** 24) : () => random.uniform(low, high);
    const values = new Float32Array(elementCount(input.shape));
    const drawn = Float32Array.from({ length: Math.min(values.length, DRAWN) }, draw);
    for (let at = 0; at < values.length; at += DRAWN) values.set(drawn.subarray(0, values.length - at), at);
    plan.write(input, words ? new Uint8Array(Uint32Array.from(values).buffer) : values);
  }
  plan.run();
  return { plan, result: async () => (await plan.read(outputs[0]))[0] };
}

/**
 * The largest `relativeError` that rounding makes. f32: sums of another order; the ops' own tests have the strict bounds. f16: storing
 * rounds by 2^-11, here and in the plain kernels, a sum over two concatenated maps three times; matrix units round the filter by as
 * much. That makes 7 * 2^-11 at most.
 */
export const roundingOf = ({ inputs, outputs }: Node): number =>
  [...inputs, ...outputs].some(({ dtype }) => dtype === 'f16') ? 2 ** -8 : 1e-4;

/** Largest difference, relative to the largest value; NaN where a value is not a number. */
export function relativeError(got: Float32Array, reference: Float32Array): number {
  let error = 0;
  let largest = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i] - reference[i]);
    if (Number.isNaN(difference)) return NaN;
    error = Math.max(error, difference);
    largest = Math.max(largest, Math.abs(reference[i]));
  }
  return error / largest;
}
