/** The network cases: output, loss, every gradient, running statistics, and five training steps; and the full-width ones. */
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph, type Tensor } from '../../engine/graph.js';
import { sigmoid } from '../../engine/ops/sigmoid.js';
import { createOptimizer } from '../../engine/optimizers.js';
import { Plan } from '../../engine/plan.js';
import { hash32 } from '../../engine/random.js';
import { Variables } from '../../engine/variables.js';
import { NetContext } from '../../nets/context.js';
import { type LossName, losses, type LossSettings, recordLoss } from '../../nets/losses.js';
import { buildNetwork } from '../../nets/networks.js';
import type { GoldenTensors } from './golden.js';
import { judge, type Verdict } from './judge.js';
import { optimizerSettings } from './optimizers.js';
import { settingsOf } from './structure.js';

const LOSSES: Record<string, LossName> = {
  ce: 'ce',
  bce: 'bce',
  bce_dice: 'bce-dice',
  bcelogits_dice: 'bce-logits-of-sigmoid-dice',
};

interface Recorded {
  graph: Graph;
  input: Tensor;
  target: Tensor;
  /** What the case calls `out`: probabilities, or logits under cross entropy. */
  out: Tensor;
  loss: Tensor;
}

/** Records the case's network and loss on inputs of the case's shape. */
function record(golden: GoldenTensors, variables: Variables, training: boolean, dropMask?: boolean): Recorded {
  const { options } = golden.golden;
  const { structure, batch, in_channels: channels, height, width, base, dice } = options;
  const loss = LOSSES[options.loss];
  if (!loss) throw new Error(`no loss ${options.loss}; known are ${Object.keys(LOSSES).join(', ')}`);
  const graph = new Graph();
  const input = graph.input('input', [batch, channels, height, width]);
  const target = graph.input('target', [batch, 1, height, width]);
  const mask = dropMask ? (c: number) => graph.input('drop.mask', [batch, c, 1, 1]) : undefined;
  const net = new NetContext(graph, variables, training, 0, 'pytorch', mask);
  const logits = buildNetwork(net, input, settingsOf(structure, options.drop_p ?? 0), {
    width: base,
    classes: structure.classes ?? 1,
  });
  const out = options.loss === 'ce' ? logits : sigmoid(logits);
  const settings: LossSettings = { name: loss };
  if ((losses[loss] as readonly string[]).includes('dice')) {
    settings.dice = { epsNum: dice.eps_num, epsDen: dice.eps_den, per: dice.per_image ? 'image' : 'batch' };
  }
  return { graph, input, target, out, loss: recordLoss(logits, target, settings) };
}

/** Gives every variable its value. @throws Error listing names that the net or the case lacks */
function loadState(variables: Variables, names: readonly string[], values: (name: string) => ArrayLike<number>): void {
  const missing = variables.list.filter(({ name }) => !names.includes(name)).map(({ name }) => name);
  const extra = names.filter((name) => !variables.find(name));
  if (missing.length > 0 || extra.length > 0) {
    throw new Error(`the state lacks [${missing.join(', ')}] and has unknown [${extra.join(', ')}]`);
  }
  for (const variable of variables.list) variables.set(variable, values(variable.name));
}

interface Pass {
  out: Float32Array;
  loss: Float32Array;
  gradients: Map<string, Float32Array>;
}

/** One pass forward and backward on poisoned memory; `inputs` are written by name. */
async function runPass(
  device: Device,
  variables: Variables,
  { graph, input, out, loss }: Recorded,
  inputs: Record<string, ArrayLike<number>>,
  fuse = device.traits.fuse,
): Promise<Pass> {
  const parameters = variables.parameters;
  const one = graph.input('one', [1], 'vector');
  const made = gradients([loss], [one], [input, ...parameters.map((parameter) => graph.read(parameter))]);
  const plan = await Plan.compile(device, graph, { outputs: [out, loss, ...made], poison: true, fuse });
  try {
    for (const tensor of graph.inputs) plan.write(tensor, tensor === one ? [1] : inputs[tensor.name]);
    plan.run();
    const [outValues, lossValues, inputGradient, ...rest] = await plan.read(out, loss, ...made);
    const named = new Map(parameters.map(({ name }, i) => [name, rest[i]]));
    return { out: outValues, loss: lossValues, gradients: named.set('input', inputGradient) };
  } finally {
    plan.destroy();
  }
}

/** Runs a case of kind `network`, with plans that fuse or plain ones. */
export async function runNetworkCase(
  device: Device,
  golden: GoldenTensors,
  { fuse = device.traits.fuse } = {},
): Promise<Verdict[]> {
  // PyTorch counts batches for a moving average without momentum, which none of these nets has.
  const stateNames = golden.names
    .filter((name) => name.startsWith('state.') && !name.endsWith('.num_batches_tracked'))
    .map((name) => name.slice(6));
  const state = (name: string) => golden.get(`state.${name}`).data;
  const inputs = { input: golden.get('input').data, target: golden.get('target').data };
  const verdicts: Verdict[] = [];
  const compare = (name: string, got: ArrayLike<number>) => {
    verdicts.push(judge(name, got, golden.get(name).data, golden.ruleFor(name)));
  };

  const variables = new Variables(device);
  try {
    const recorded = record(golden, variables, true);
    loadState(variables, stateNames, state);
    const pass = await runPass(device, variables, recorded, inputs, fuse);
    compare('out', pass.out);
    compare('loss', pass.loss);
    for (const name of golden.names.filter((n) => n.startsWith('grad.')))
      compare(name, pass.gradients.get(name.slice(5)) ?? []);
    const after = await variables.read('buffers');
    for (const name of golden.names.filter((n) => n.startsWith('after.')))
      compare(name, after.get(name.slice(6)) ?? []);

    if (golden.has('drop.mask')) {
      loadState(variables, stateNames, state);
      const dropped = record(golden, variables, true, true);
      const dropInputs = { ...inputs, 'drop.mask': golden.get('drop.mask').data };
      const dropPass = await runPass(device, variables, dropped, dropInputs, fuse);
      compare('drop.out', dropPass.out);
      compare('drop.loss', dropPass.loss);
      for (const name of golden.names.filter((n) => n.startsWith('drop.grad.'))) {
        compare(name, dropPass.gradients.get(name.slice(10)) ?? []);
      }
    }
  } finally {
    variables.destroy();
  }
  for (const prefix of ['train', 'train_clip']) {
    if (golden.has(`${prefix}.losses64`))
      verdicts.push(...(await runTraining(device, golden, prefix, stateNames, state, inputs, fuse)));
  }
  return verdicts;
}

/** The case's training steps on its one batch, then an evaluation: losses, norms, outputs, and how far each parameter moved. */
async function runTraining(
  device: Device,
  golden: GoldenTensors,
  prefix: string,
  stateNames: readonly string[],
  state: (name: string) => ArrayLike<number>,
  inputs: { input: ArrayLike<number>; target: ArrayLike<number> },
  fuse: boolean,
): Promise<Verdict[]> {
  const { options } = golden.golden;
  const variables = new Variables(device);
  const plans: Plan[] = [];
  try {
    const { graph, input, target, loss } = record(golden, variables, true);
    loadState(variables, stateNames, state);
    const parameters = variables.parameters;
    const one = graph.input('one', [1], 'vector');
    const made = gradients(
      [loss],
      [one],
      parameters.map((parameter) => graph.read(parameter)),
    );
    const { kind, lr } = options.optimizer;
    const optimizer = createOptimizer(optimizerSettings(kind, options.optimizer), variables);
    const clipNorm = prefix === 'train_clip' ? options.train_clip_norm : undefined;
    const { norm, hyper } = optimizer.step(graph, parameters, made, { clipNorm });
    const training = await Plan.compile(device, graph, { outputs: [loss, norm], fuse });
    plans.push(training);
    training.write(one, [1]);
    training.write(input, inputs.input);
    training.write(target, inputs.target);
    const lossValues: number[] = [];
    const norms: number[] = [];
    for (let step = 1; step <= options.steps; step++) {
      training.write(hyper, optimizer.hyperValues(lr * (options.exp_gamma ?? 1) ** (step - 1), step));
      training.run();
      const [[lossValue], [normValue]] = await training.read(loss, norm);
      lossValues.push(lossValue);
      norms.push(normValue);
    }

    const evaluation = record(golden, variables, false);
    const evaluationPlan = await Plan.compile(device, evaluation.graph, {
      outputs: [evaluation.out],
      poison: true,
      fuse,
    });
    plans.push(evaluationPlan);
    evaluationPlan.write(evaluation.input, inputs.input);
    evaluationPlan.write(evaluation.target, inputs.target);
    evaluationPlan.run();
    const [out] = await evaluationPlan.read(evaluation.out);
    const values = await variables.read('parameters');
    const live = golden.get('live').data;
    const moved = (options.params as string[]).map((name, i) =>
      live[i] ? distance(values.get(name)!, state(name)) : 0,
    );

    const got: Record<string, ArrayLike<number>> = {
      losses32: lossValues,
      losses64: lossValues,
      eval32: out,
      eval64: out,
      moved_l2: moved,
      norms,
    };
    return golden.names
      .filter((name) => name.startsWith(`${prefix}.`))
      .map((name) =>
        judge(name, got[name.slice(prefix.length + 1)] ?? [], golden.get(name).data, golden.ruleFor(name)),
      );
  } finally {
    plans.forEach((plan) => plan.destroy());
    variables.destroy();
  }
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum);
}

const length = (a: ArrayLike<number>): number => distance(a, new Float32Array(a.length));

/** In [-0.5, 0.5), exact in float64. */
const unit = (n: number): number => hash32(n >>> 0) / 4294967296 - 0.5;

interface HashedTensor {
  name: string;
  shape: number[];
  start: number;
  center: number;
  scale: number;
}

function hashedValues(
  { start, center, scale }: Omit<HashedTensor, 'name' | 'shape'>,
  count: number,
  seed: number,
): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => center + unit(seed + start + i) * scale);
}

/** Runs a case of kind `fullwidth`: weights from an integer hash, gradients compared by length and by a projection. */
export async function runFullWidthCase(device: Device, golden: GoldenTensors): Promise<Verdict[]> {
  const { options } = golden.golden;
  const seed: number = options.seed;
  const tensors = new Map((options.tensors as HashedTensor[]).map((tensor) => [tensor.name, tensor]));
  const input = hashedValues(options.input, options.batch * options.in_channels * options.height * options.width, seed);
  const { width, height, batch } = options;
  const target = Float32Array.from({ length: batch * height * width }, (_, i) => {
    const x = 2 * (i % width) + 1 - width;
    const y = 2 * (Math.floor(i / width) % height) + 1 - height;
    return x * x + y * y < options.target_r2 ? 1 : 0;
  });
  const variables = new Variables(device);
  try {
    const recorded = record(golden, variables, true);
    loadState(variables, [...tensors.keys()], (name) => {
      const tensor = tensors.get(name)!;
      return hashedValues(
        tensor,
        tensor.shape.reduce((product, size) => product * size, 1),
        seed,
      );
    });
    const pass = await runPass(device, variables, recorded, { input, target });
    const buffers = await variables.read('buffers');
    const params = options.params as string[];
    const lengths = params.map((name) => length(pass.gradients.get(name) ?? []));
    const live = golden.get('live').data;
    const projections = params.map((name, p) => {
      if (!live[p]) return 0;
      const { start } = tensors.get(name)!;
      const gradient = pass.gradients.get(name) ?? new Float32Array();
      let sum = 0;
      for (let i = 0; i < gradient.length; i++) sum += gradient[i] * unit(seed + 2654435769 + start + i);
      return sum / lengths[p];
    });
    const got: Record<string, ArrayLike<number>> = {
      input_head: input.subarray(0, 256),
      target,
      out: pass.out,
      loss: pass.loss,
      grad_l2: lengths,
      grad_cos: projections,
      buffer_l2: (options.buffers as string[]).map((name) => length(buffers.get(name) ?? [])),
      input_grad_l2: [length(pass.gradients.get('input')!)],
      param_count: [variables.parameterCount],
    };
    const verdicts = golden.names
      .filter((name) => name !== 'live')
      .map((name) => judge(name, got[name] ?? [], golden.get(name).data, golden.ruleFor(name)));
    return [...verdicts, judge('param_count', got.param_count, [options.param_count], { rule: 'exact' })];
  } finally {
    variables.destroy();
  }
}
