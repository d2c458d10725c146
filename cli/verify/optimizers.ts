/** The optimizer cases: some steps with given gradients, the parameters compared after each. */
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { elementCount } from '../../engine/layout.js';
import { createOptimizer, type OptimizerSettings } from '../../engine/optimizers.js';
import { Plan } from '../../engine/plan.js';
import { constantRate, exponentialDecay } from '../../engine/schedules.js';
import { Variables } from '../../engine/variables.js';
import type { GoldenTensors } from './golden.js';
import { judge, type Verdict } from './judge.js';

/**
 * From a case's options, in PyTorch's names, to ours.
 * @throws Error when there is no such optimizer
 */
export function optimizerSettings(kind: string, options: GoldenTensors['golden']['options']): OptimizerSettings {
  const weightDecay: number | undefined = options.weight_decay;
  switch (kind) {
    case 'sgd':
      return { kind, momentum: options.momentum, nesterov: options.nesterov, weightDecay };
    case 'adam':
    case 'adamw':
    case 'radam':
      return { kind, betas: options.betas, eps: options.eps, weightDecay };
    default:
      throw new Error(`no optimizer ${kind}; known are adam, adamw, radam, sgd`);
  }
}

/** Runs a case of kind `optimizer`. */
export async function runOptimizerCase(device: Device, golden: GoldenTensors): Promise<Verdict[]> {
  const { op, options } = golden.golden;
  const names = golden.names.filter((name) => name.startsWith('param.')).map((name) => name.slice('param.'.length));
  const schedule = options.exp_gamma ? exponentialDecay(options.lr, options.exp_gamma) : constantRate(options.lr);
  const variables = new Variables(device);
  let plan: Plan | undefined;
  try {
    const parameters = names.map((name) => {
      const { shape, data } = golden.get(`param.${name}`);
      return shape.length === 4
        ? variables.declare(name, shape, 'filter', true, () => data)
        : variables.declare(name, [elementCount(shape)], 'vector', true, () => data);
    });
    const graph = new Graph();
    const gradients = parameters.map(({ name, shape, layout }) => graph.input(`grad.${name}`, shape, layout));
    const optimizer = createOptimizer(optimizerSettings(op, options), variables);
    const { norm, hyper } = optimizer.step(graph, parameters, gradients, { clipNorm: options.clip_norm ?? undefined });
    plan = await Plan.compile(device, graph, { outputs: [norm], poison: true });

    const got: Record<string, number[]> = { lr: [], norm: [] };
    const append = (name: string, values: ArrayLike<number>) => {
      got[name] ??= [];
      for (let i = 0; i < values.length; i++) got[name].push(values[i]);
    };
    for (let step = 0; step < options.steps; step++) {
      // The case's schedule moves after every step, so a step is an epoch to it.
      const rate = schedule(step, step);
      gradients.forEach((gradient, k) => {
        const count = elementCount(gradient.shape);
        plan!.write(gradient, golden.get(`grad.${names[k]}`).data.subarray(step * count, (step + 1) * count));
      });
      plan.write(hyper, optimizer.hyperValues(rate, step + 1));
      plan.run();
      append('lr', [rate]);
      append('norm', (await plan.read(norm))[0]);
      for (const [name, values] of await variables.read('parameters')) append(`after.${name}`, values);
      for (const [name, values] of await variables.read('gradient')) append(`clipped.${name}`, values);
    }
    return golden.names
      .filter((name) => /^(lr|norm|after\..*|clipped\..*)$/.test(name))
      .map((name) => judge(name, got[name] ?? [], golden.get(name).data, golden.ruleFor(name)));
  } finally {
    plan?.destroy();
    variables.destroy();
  }
}
