/** The op cases: how each golden op is recorded with ours. One entry an op; a directory may name others, which then fail. */
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph, Tensor } from '../../engine/graph.js';
import type { Layout } from '../../engine/layout.js';
import { add } from '../../engine/ops/add.js';
import { batchNorm2d } from '../../engine/ops/batchNorm2d.js';
import { relu } from '../../engine/ops/relu.js';
import { Plan } from '../../engine/plan.js';
import { type Variable, Variables } from '../../engine/variables.js';
import type { GoldenTensors } from './golden.js';
import { judge, type Verdict } from './judge.js';

/** What an op case may ask of its golden file. */
export interface OpCase {
  readonly options: GoldenTensors['golden']['options'];
  has(name: string): boolean;
  /** A graph input with the values of `in.NAME`; `shape` where the op's differs from the file's. */
  input(name: string, layout?: Layout, shape?: readonly number[]): Tensor;
  /** A variable that starts with the values of `in.NAME`. */
  variable(name: string, layout: Layout): Variable;
  /** Shape of `in.NAME` in the file. */
  shape(name: string): readonly number[];
}

type RecordCase = (c: OpCase) => Record<string, Tensor | Variable>;

export const opCases: Record<string, RecordCase> = {
  relu: (c) => ({ y: relu(c.input('x')) }),
  add_relu: (c) => ({ y: relu(add(c.input('a'), c.input('b'))) }),
  relu_add: (c) => ({ y: add(relu(c.input('a')), c.input('b')) }),
  batch_norm2d: (c) => {
    const running = { mean: c.variable('running_mean', 'vector'), variance: c.variable('running_var', 'vector') };
    const { training, momentum, eps } = c.options;
    const y = batchNorm2d(c.input('x'), c.input('weight', 'vector'), c.input('bias', 'vector'), running, { training, momentum, eps });
    return { y, running_mean: running.mean, running_var: running.variance };
  },
};

/**
 * Runs a case forward and, where it has gradients, backward, on recycled memory that holds NaN.
 * @throws Error when the op is not known
 */
export async function runOpCase(device: Device, golden: GoldenTensors): Promise<Verdict[]> {
  const record = opCases[golden.golden.op];
  if (!record) throw new Error(`no op ${golden.golden.op}; known are ${Object.keys(opCases).sort().join(', ')}`);
  const graph = new Graph();
  const variables = new Variables(device);
  const inputs = new Map<string, Tensor>();
  const stored = (name: string) => golden.get(`in.${name}`);
  const outputs = record({
    options: golden.golden.options,
    has: (name) => golden.has(`in.${name}`),
    input(name, layout = 'image', shape = stored(name).shape) {
      const tensor = graph.input(name, shape, layout);
      inputs.set(name, tensor);
      return tensor;
    },
    variable: (name, layout) => variables.declare(name, stored(name).shape, layout, false, () => stored(name).data),
    shape: (name) => stored(name).shape,
  });

  // Tensors can be read from the plan; variables from their arena after the step.
  const results = new Map<string, Tensor>();
  for (const [name, output] of Object.entries(outputs)) {
    if (output instanceof Tensor) results.set(`out.${name}`, output);
  }
  const seeds = new Map<Tensor, Tensor>();
  for (const [name, output] of Object.entries(outputs)) {
    if (!(output instanceof Tensor) || !golden.has(`gout.${name}`)) continue;
    seeds.set(output, graph.input(`gout.${name}`, output.shape, output.layout));
  }
  const targets = [...inputs].filter(([name]) => golden.has(`grad.${name}`));
  if (targets.length > 0) {
    const made = gradients([...seeds.keys()], [...seeds.values()], targets.map(([, tensor]) => tensor));
    made.forEach((gradient, i) => results.set(`grad.${targets[i][0]}`, gradient));
  }

  const plan = await Plan.compile(device, graph, { outputs: [...results.values()], poison: true });
  try {
    for (const [name, tensor] of inputs) plan.write(tensor, stored(name).data);
    for (const tensor of seeds.values()) plan.write(tensor, golden.get(tensor.name).data);
    plan.run();
    const values = await plan.read(...results.values());
    const got = new Map<string, ArrayLike<number>>([...results.keys()].map((name, i) => [name, values[i]]));
    const after = variables.list.length > 0 ? await variables.read('buffers') : new Map<string, Float32Array>();
    for (const [name, output] of Object.entries(outputs)) {
      if (!(output instanceof Tensor)) got.set(`out.${name}`, after.get(output.name)!);
    }
    return golden.names
      .filter((name) => /^(out|grad)\./.test(name))
      .map((name) => judge(name, got.get(name) ?? [], golden.get(name).data, golden.ruleFor(name)));
  } finally {
    plan.destroy();
    variables.destroy();
  }
}
