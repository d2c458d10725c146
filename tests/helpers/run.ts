/** Small plans for tests: run a recorded graph once, and check gradients by finite differences. */
import * as assert from 'uvu/assert';
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph, type Tensor } from '../../engine/graph.js';
import { elementCount, type Layout, type Shape } from '../../engine/layout.js';
import { Plan } from '../../engine/plan.js';
import { Random } from '../../engine/random.js';

export interface Given {
  shape: Shape;
  layout?: Layout;
  values: ArrayLike<number>;
}

/** Normal numbers, the same for the same key. */
export function normal(shape: Shape, key: string, scale = 1): Float32Array {
  const random = new Random('test', key);
  return Float32Array.from({ length: elementCount(shape) }, () => scale * random.normal());
}

/** Records `build` on inputs with the given values, runs one step on poisoned memory and reads every result. */
export async function evaluate<T extends readonly Tensor[]>(
  device: Device,
  given: Record<string, Given>,
  build: (inputs: Record<string, Tensor>) => T,
): Promise<{ [K in keyof T]: Float32Array }> {
  const graph = new Graph();
  const inputs = Object.fromEntries(
    Object.entries(given).map(([name, { shape, layout }]) => [name, graph.input(name, shape, layout)]),
  );
  const results = build(inputs);
  const plan = await Plan.compile(device, graph, { outputs: results, poison: true });
  try {
    for (const [name, { values }] of Object.entries(given)) plan.write(inputs[name], values);
    plan.run();
    return await plan.read(...results);
  } finally {
    plan.destroy();
  }
}

/**
 * Checks gradients of sum(y * seed) by central differences along random directions: (f(x + h v) - f(x - h v)) / 2h = <grad, v>.
 * The sum is taken in float64 from the op's float32 outputs.
 * @param differentiable names of the inputs whose gradients are checked
 */
export async function checkGradients(
  device: Device,
  given: Record<string, Given>,
  build: (inputs: Record<string, Tensor>) => Tensor,
  differentiable: readonly string[],
  { step = 1e-2, tolerance = 1e-2, directions = 3 }: { step?: number; tolerance?: number; directions?: number } = {},
): Promise<void> {
  const graph = new Graph();
  const inputs = Object.fromEntries(
    Object.entries(given).map(([name, { shape, layout }]) => [name, graph.input(name, shape, layout)]),
  );
  const y = build(inputs);
  const seed = graph.input('seed', y.shape, y.layout);
  const made = gradients(
    [y],
    [seed],
    differentiable.map((name) => inputs[name]),
  );
  const plan = await Plan.compile(device, graph, { outputs: [y, ...made], poison: true });
  try {
    const seedValues = normal(y.shape, `seed of ${y}`);
    plan.write(seed, seedValues);
    for (const [name, { values }] of Object.entries(given)) plan.write(inputs[name], values);
    plan.run();
    const [, ...analytic] = await plan.read(y, ...made);
    const f = async (name: string, values: Float32Array): Promise<number> => {
      plan.write(inputs[name], values);
      plan.run();
      const [out] = await plan.read(y);
      return out.reduce((sum, value, i) => sum + value * seedValues[i], 0);
    };
    for (const [k, name] of differentiable.entries()) {
      const x = Float32Array.from(given[name].values);
      for (let d = 0; d < directions; d++) {
        const v = normal(given[name].shape, `direction ${d} of ${name}`);
        const plus = await f(
          name,
          x.map((value, i) => value + step * v[i]),
        );
        const minus = await f(
          name,
          x.map((value, i) => value - step * v[i]),
        );
        const numeric = (plus - minus) / (2 * step);
        const exact = analytic[k].reduce((sum, g, i) => sum + g * v[i], 0);
        const scale = Math.sqrt(analytic[k].reduce((sum, g, i) => sum + (g * v[i]) ** 2, 0)) + 1e-3;
        const error = Math.abs(numeric - exact);
        assert.ok(
          error <= tolerance * scale,
          `d/d${name}: ${exact} by the gradient, ${numeric} by differences (scale ${scale})`,
        );
      }
      plan.write(inputs[name], x);
    }
  } finally {
    plan.destroy();
  }
}
