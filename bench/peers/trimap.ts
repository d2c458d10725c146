/** trimap itself as an engine of `bench peers`. It comes first: it draws the inputs and writes them for the others. */
import { identityAugmentation } from '../../data/augment.js';
import { type StoredTensor, writeSafetensors } from '../../data/safetensors.js';
import { gradients } from '../../engine/autograd.js';
import { openDevice } from '../../engine/dawn.js';
import type { Device } from '../../engine/device.js';
import { Graph } from '../../engine/graph.js';
import { type Dtype, elementCount, type Shape } from '../../engine/layout.js';
import { conv2d } from '../../engine/ops/conv2d.js';
import { convTranspose2d } from '../../engine/ops/convTranspose2d.js';
import { Plan } from '../../engine/plan.js';
import { Random } from '../../engine/random.js';
import { Variables } from '../../engine/variables.js';
import { EvaluationStep } from '../../nets/evaluationStep.js';
import { IMAGENET } from '../../nets/model.js';
import { TrainingStep } from '../../nets/trainingStep.js';
import { stepSettings } from '../works.js';
import { type Job, serve } from './child.js';
import { COMPARED_STEPS, type ConvolutionWork, isStep, LEARNING_RATE, type StepWork } from './works.js';

const stored = (shape: Shape, data: Float32Array): StoredTensor => ({ dtype: 'F32', shape: [...shape], data });

function drawn(name: string, shape: Shape): StoredTensor {
  const random = new Random('peers', name);
  return stored(
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => random.uniform(-1, 1)),
  );
}

async function prepareConvolution(device: Device, work: ConvolutionWork, inputs: string, dtype: Dtype): Promise<Job> {
  const { batch, input, output, size, outputSize, kernel, stride, padding } = work;
  const transposed = work.work === 'convTranspose2d';
  const tensors = new Map([
    ['x', drawn('x', [batch, input, size, size])],
    ['w', drawn('w', transposed ? [input, output, kernel, kernel] : [output, input, kernel, kernel])],
    ['dy', drawn('dy', [batch, output, outputSize, outputSize])],
  ]);
  writeSafetensors(inputs, tensors);
  const graph = new Graph();
  const x = graph.input('x', tensors.get('x')!.shape, 'image', dtype);
  const w = graph.input('w', tensors.get('w')!.shape, transposed ? 'transposedFilter' : 'filter');
  const y = (transposed ? convTranspose2d : conv2d)(x, w, undefined, { stride, padding });
  const dy = graph.input('dy', y.shape, 'image', dtype);
  const asked = work.pass === 'forward' ? y : gradients([y], [dy], [work.pass === 'input gradient' ? x : w])[0]!;
  const plan = await Plan.compile(device, graph, { outputs: [asked] });
  // The plan has no place for what its pass does not read.
  const read = { forward: [x, w], 'input gradient': [w, dy], 'filter gradient': [x, dy] }[work.pass];
  for (const tensor of read) plan.write(tensor, tensors.get(tensor.name)!.data as Float32Array);
  return {
    async result() {
      plan.run();
      return (await plan.read(asked))[0];
    },
    async run(count) {
      for (let i = 0; i < count; i++) plan.run();
      await device.wait(device.gpu.queue.onSubmittedWorkDone());
    },
    destroy: () => plan.destroy(),
  };
}

/** Photos of random pixels: bytes for trimap's own steps, and what these become, normalised, for the others. */
function drawPhotos({ batch, size }: StepWork) {
  const random = new Random('peers');
  const area = size * size;
  const pixels = Uint8Array.from({ length: batch * area * 4 }, (_, i) => random.integer(i % 4 === 3 ? 2 : 256));
  const image = new Float32Array(batch * 3 * area);
  const target = new Float32Array(batch * area);
  for (let n = 0; n < batch; n++) {
    for (let p = 0; p < area; p++) {
      const from = 4 * (n * area + p);
      target[n * area + p] = pixels[from + 3];
      for (let c = 0; c < 3; c++) {
        image[(3 * n + c) * area + p] = (pixels[from + c] / 255 - IMAGENET.mean[c]) / IMAGENET.std[c];
      }
    }
  }
  return {
    pixels,
    tensors: new Map([
      ['image', stored([batch, 3, size, size], image)],
      ['target', stored([batch, 1, size, size], target)],
    ]),
  };
}

async function prepareStep(device: Device, work: StepWork, inputs: string, precision: Dtype): Promise<Job> {
  const { pixels, tensors } = drawPhotos(work);
  const one = identityAugmentation();
  const parameters = Float32Array.from({ length: work.batch * one.length }, (_, i) => one[i % one.length]);
  // No clipping: not every library has it.
  const settings = { ...stepSettings(work.net, { ...work, precision }), clipNorm: undefined };
  const variables = new Variables(device);
  const Step = work.work === 'train' ? TrainingStep : EvaluationStep;
  const step = await Step.compile(device, variables, settings);
  const values = await variables.read('parameters');
  for (const { name, shape } of variables.parameters) tensors.set(name, stored(shape, values.get(name)!));
  writeSafetensors(inputs, tensors);
  let count = 0;
  const submit = (): void =>
    step instanceof TrainingStep ? step.run(pixels, parameters, LEARNING_RATE, ++count) : step.run(pixels, parameters);
  return {
    async result() {
      if (step instanceof EvaluationStep) {
        submit();
        return step.readLogits();
      }
      const losses: number[] = [];
      while (losses.length < COMPARED_STEPS) {
        submit();
        losses.push((await step.result()).loss);
      }
      return Float32Array.from(losses);
    },
    async run(times) {
      for (let i = 0; i < times; i++) submit();
      await device.wait(device.gpu.queue.onSubmittedWorkDone());
    },
    destroy() {
      step.destroy();
      variables.destroy();
    },
  };
}

const [, , adapter, precision] = process.argv;

await serve(async () => {
  const device = await openDevice({ adapter });
  const halves = precision === 'f16' ? await openDevice({ adapter, precision }) : undefined;
  return {
    name: 'trimap',
    adapter: device.description,
    // What PyTorch's AMP is allowed.
    modes: [{ name: '', tolerance: 0 }, ...(halves ? [{ name: 'f16', tolerance: 3e-2 }] : [])],
    async prepare(work, inputs, mode) {
      const [on, dtype] = mode === 0 ? [device, 'f32' as const] : [halves!, 'f16' as const];
      const job = await (isStep(work)
        ? prepareStep(on, work, inputs, dtype)
        : prepareConvolution(on, work, inputs, dtype));
      return mode === 0 ? job : { ...job, note: `${on.traits.kernels} convolutions` };
    },
  };
});
