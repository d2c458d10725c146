/** The op cases: how each golden op is recorded with ours. One entry an op; a directory may name others, which then fail. */
import { gradients } from '../../engine/autograd.js';
import type { Device } from '../../engine/device.js';
import { Graph, Tensor } from '../../engine/graph.js';
import type { Dtype, Layout } from '../../engine/layout.js';
import { dice, iou, pixelAccuracy, readCounts, softDice, union } from '../../engine/metrics.js';
import { add } from '../../engine/ops/add.js';
import { argmax } from '../../engine/ops/argmax.js';
import { batchNorm2d } from '../../engine/ops/batchNorm2d.js';
import { bceLoss } from '../../engine/ops/bceLoss.js';
import { bceWithLogitsLoss } from '../../engine/ops/bceWithLogitsLoss.js';
import { cast } from '../../engine/ops/cast.js';
import { concat } from '../../engine/ops/concat.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { convTranspose2d } from '../../engine/ops/convTranspose2d.js';
import { crossEntropyLoss } from '../../engine/ops/crossEntropyLoss.js';
import { diceLoss, diceSums } from '../../engine/ops/overlapLoss.js';
import { dropout2d } from '../../engine/ops/dropout2d.js';
import { maxPool2d } from '../../engine/ops/maxPool2d.js';
import { meanHw } from '../../engine/ops/meanHw.js';
import { pad2d } from '../../engine/ops/pad2d.js';
import { relu } from '../../engine/ops/relu.js';
import { resizeBilinear } from '../../engine/ops/resizeBilinear.js';
import { segmentationCounts } from '../../engine/ops/segmentationCounts.js';
import { sigmoid } from '../../engine/ops/sigmoid.js';
import { mean, sum } from '../../engine/ops/sum.js';
import { Plan } from '../../engine/plan.js';
import { type Variable, Variables } from '../../engine/variables.js';
import type { GoldenTensors, Rule } from './golden.js';
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
  /** Outputs made on the host from what the GPU computed: `make` gets the values of `tensors` in the plain order. */
  derive(tensors: readonly Tensor[], make: (...values: Float32Array[]) => Record<string, ArrayLike<number>>): void;
}

type RecordCase = (c: OpCase) => Record<string, Tensor | Variable>;

export const opCases: Record<string, RecordCase> = {
  relu: (c) => ({ y: relu(c.input('x')) }),
  add_relu: (c) => ({ y: relu(add(c.input('a'), c.input('b'))) }),
  relu_add: (c) => ({ y: add(relu(c.input('a')), c.input('b')) }),
  sigmoid: (c) => ({ y: sigmoid(c.input('x')) }),
  sum: (c) => ({ y: sum(c.input('x')) }),
  mean: (c) => ({ y: mean(c.input('x')) }),
  mean_hw: (c) => ({ y: meanHw(c.input('x')) }),
  bce: (c) => ({ loss: bceLoss(c.input('p'), c.input('t')) }),
  bce_logits: (c) => ({ loss: bceWithLogitsLoss(c.input('z'), c.input('t')) }),
  cross_entropy: (c) => ({ loss: crossEntropyLoss(c.input('z'), c.input('y', 'image', labelShape(c.shape('z')))) }),
  dice_loss: (c) => ({ loss: diceLoss(c.input('p'), c.input('t'), diceOptions(c)) }),
  sigmoid_bce_dice: (c) => {
    const [z, t] = [c.input('z'), c.input('t')];
    return { loss: add(bceWithLogitsLoss(z, t), diceLoss(sigmoid(z), t, diceOptions(c))) };
  },
  sigmoid_bcelogits_dice: (c) => {
    const [p, t] = [sigmoid(c.input('z')), c.input('t')];
    return { loss: add(bceWithLogitsLoss(p, t), diceLoss(p, t, diceOptions(c))) };
  },
  argmax: (c) => {
    if (c.options.axis !== 1)
      throw new Error(`argmax: axis ${c.options.axis}; only the channels, axis 1, are supported`);
    return { mask: argmax(c.input('z')) };
  },
  metrics: (c) => {
    const [p, t] = [c.input('p'), c.input('t')];
    c.derive([segmentationCounts(p, t, { threshold: c.options.threshold }), diceSums(p, t)], (counts, sums) => {
      const images = readCounts(counts);
      return {
        inter: images.map((image) => image.intersection),
        pred: images.map((image) => image.predicted),
        true: images.map((image) => image.true),
        union: images.map(union),
        dice: images.map(dice),
        iou: images.map(iou),
        agreement: images.map(pixelAccuracy),
        soft_dice_batch: [softDice(sums)],
      };
    });
    return {};
  },
  batch_norm2d: (c) => {
    const running = { mean: c.variable('running_mean', 'vector'), variance: c.variable('running_var', 'vector') };
    const { training, momentum, eps } = c.options;
    const y = batchNorm2d(c.input('x'), c.input('weight', 'vector'), c.input('bias', 'vector'), running, {
      training,
      momentum,
      eps,
    });
    return { y, running_mean: running.mean, running_var: running.variance };
  },
  concat: (c) => {
    if (c.options.axis !== 1)
      throw new Error(`concat: axis ${c.options.axis} is not supported; only channels (axis 1) are`);
    const inputs: Tensor[] = [];
    for (let i = 0; c.has(`x${i}`); i++) inputs.push(c.input(`x${i}`));
    return { y: concat(inputs) };
  },
  conv2d: (c) => {
    const { stride, padding } = convolutionOptions(c, ['stride', 'padding']);
    return { y: conv2d(c.input('x'), c.input('weight', 'filter'), optionalBias(c), { stride, padding }) };
  },
  conv_transpose2d: (c) => {
    const {
      stride,
      padding,
      output_padding: outputPadding,
    } = convolutionOptions(c, ['stride', 'padding', 'output_padding']);
    const options = { stride, padding, outputPadding };
    return { y: convTranspose2d(c.input('x'), c.input('weight', 'transposedFilter'), optionalBias(c), options) };
  },
  max_pool2d: (c) => {
    const { kernel, stride, padding } = c.options;
    return { y: maxPool2d(c.input('x'), { kernel, stride, padding }) };
  },
  upsample_bilinear: (c) => ({
    y: resizeBilinear(c.input('x'), c.options.size, { alignCorners: c.options.align_corners }),
  }),
  pad2d: (c) => ({ y: pad2d(c.input('x'), c.options.pad) }),
  dropout2d: (c) => ({ y: dropout2d(c.input('x'), c.input('mask', 'image', [...c.shape('mask'), 1, 1]), c.options.p) }),
};

/** @throws Error for an option that asks for something else than the known ones; `bias` repeats what the file's tensors say */
function convolutionOptions({ options }: OpCase, known: readonly string[]): OpCase['options'] {
  for (const [name, value] of Object.entries(options)) {
    const nothing = (name === 'dilation' || name === 'groups') && [value].flat().every((v) => v === 1);
    if (name !== 'bias' && !known.includes(name) && !nothing) {
      throw new Error(`a convolution with ${name} ${JSON.stringify(value)} is not supported`);
    }
  }
  return options;
}

const optionalBias = (c: OpCase) => (c.has('bias') ? c.input('bias', 'vector') : undefined);

const labelShape = ([n, , h, w]: readonly number[]) => [n, 1, h, w];

const diceOptions = ({ options }: OpCase) => ({
  epsNum: options.eps_num,
  epsDen: options.eps_den,
  perImage: options.per_image,
});

/**
 * Runs a case forward and, where it has gradients, backward, on recycled memory that holds NaN.
 * @param dtype of the op's images
 * @param rule judged by instead of the case's own, which are for f32
 * @throws Error when the op is not known
 */
export async function runOpCase(
  device: Device,
  golden: GoldenTensors,
  { dtype = 'f32', rule }: { dtype?: Dtype; rule?: Rule } = {},
): Promise<Verdict[]> {
  const record = opCases[golden.golden.op];
  if (!record) throw new Error(`no op ${golden.golden.op}; known are ${Object.keys(opCases).sort().join(', ')}`);
  const graph = new Graph();
  const variables = new Variables(device);
  const inputs = new Map<string, Tensor>();
  const stored = (name: string) => golden.get(`in.${name}`);
  const derivations: {
    tensors: readonly Tensor[];
    make: (...values: Float32Array[]) => Record<string, ArrayLike<number>>;
  }[] = [];
  const recorded = record({
    options: golden.golden.options,
    has: (name) => golden.has(`in.${name}`),
    input(name, layout = 'image', shape = stored(name).shape) {
      const tensor = graph.input(name, shape, layout);
      inputs.set(name, tensor);
      return layout === 'image' ? cast(tensor, dtype) : tensor;
    },
    variable: (name, layout) => variables.declare(name, stored(name).shape, layout, false, () => stored(name).data),
    shape: (name) => stored(name).shape,
    derive: (tensors, make) => derivations.push({ tensors, make }),
  });
  const outputs = Object.fromEntries(
    Object.entries(recorded).map(([name, y]) => [name, y instanceof Tensor && y.dtype !== 'f32' ? cast(y, 'f32') : y]),
  );

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
    const made = gradients(
      [...seeds.keys()],
      [...seeds.values()],
      targets.map(([, tensor]) => tensor),
    );
    made.forEach((gradient, i) => results.set(`grad.${targets[i][0]}`, gradient));
  }

  const read = [...results.values(), ...derivations.flatMap(({ tensors }) => tensors)];
  const plan = await Plan.compile(device, graph, { outputs: read, poison: true });
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
    for (const { tensors, make } of derivations) {
      const made = make(...(await plan.read(...tensors)));
      for (const [name, values] of Object.entries(made)) got.set(`out.${name}`, values);
    }
    return golden.names
      .filter((name) => /^(out|grad)\./.test(name))
      .map((name) => judge(name, got.get(name) ?? [], golden.get(name).data, rule ?? golden.ruleFor(name)));
  } finally {
    plan.destroy();
    variables.destroy();
  }
}
