/** Plans of single calls, in each form that is asked for, convolutions checked against the plain kernels before they are timed. */
import type { Device, FormChooser } from '../engine/device.js';
import { type Dtype, elementCount } from '../engine/layout.js';
import { Plan } from '../engine/plan.js';
import { Random } from '../engine/random.js';
import { isConvolution } from './cost.js';
import { isolate, type Work } from './works.js';

/**
 * Largest error that a convolution may have, relative to the largest value. f32: sums of another order; the ops' own tests have
 * the strict bounds. f16: storing rounds by 2^-11, here and in the plain kernels, a sum over two concatenated maps three
 * times; matrix units round the filter by as much. That makes 7 * 2^-11 at most.
 */
const TOLERANCE: Record<Dtype, number> = { f32: 1e-4, f16: 2 ** -8 };

export interface Arm {
  work: Work;
  /** The shaders, in order. */
  variant: string;
  shaders: readonly string[];
  plan: Plan;
  /** Against the plain kernels; null for ops that have one form only. */
  error: number | null;
}

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

interface Compiled {
  plan: Plan;
  result(): Promise<Float32Array>;
}

/** A plan of one call with random inputs, run once. */
async function compile(device: Device, { node }: Work): Promise<Compiled> {
  const graph = isolate(node);
  const { outputs } = graph.nodes[0];
  const plan = await Plan.compile(device, graph, { outputs });
  // Other ops take variances and probabilities, which are between 0 and 1.
  const [low, high] = isConvolution(node) ? [-1, 1] : [0.1, 0.9];
  for (const input of graph.inputs) {
    const random = new Random('bench', input.name);
    const draw = input.layout === 'words' ? () => random.integer(2 ** 24) : () => random.uniform(low, high);
    plan.write(
      input,
      input.layout === 'words'
        ? new Uint8Array(Uint32Array.from({ length: elementCount(input.shape) }, draw).buffer)
        : Float32Array.from({ length: elementCount(input.shape) }, draw),
    );
  }
  plan.run();
  return { plan, result: async () => (await plan.read(outputs[0]))[0] };
}

/** This adapter with each family of kernels that it can run, with and without those for few channels. */
function families(device: Device): Device[] {
  const { kernels, subgroupSize, maxTexelBytes } = device.traits;
  const all = [device.withKernels('plain'), device.withKernels('tiled')];
  if (subgroupSize >= 8) all.push(device.withKernels('subgroup', false));
  if (subgroupSize >= 8 && maxTexelBytes > 0) all.push(device.withKernels('subgroup'));
  // Only where they were found to be right.
  if (kernels === 'matrix') all.push(device);
  return all.flatMap((family) => [family, family.withHabits({ fewChannels: false })]);
}

const formOf = ({ dispatches }: Plan): string =>
  JSON.stringify(dispatches.map(({ shader, constants, texels }) => [shader, constants, texels]));

/** A call in every form that the adapter can run, each once. */
async function compileForms(device: Device, work: Work): Promise<Compiled[]> {
  const forms = new Map<string, Compiled>();
  for (const family of families(device)) {
    let places = 1;
    for (let place = 0; place < places; place++) {
      const choose: FormChooser = (_, names) => {
        places = Math.max(places, names.length);
        return Math.min(place, names.length - 1);
      };
      const compiled = await compile(family.withHabits({ choose }), work);
      const form = formOf(compiled.plan);
      if (forms.has(form)) compiled.plan.destroy();
      else forms.set(form, compiled);
    }
  }
  return [...forms.values()];
}

const shadersOf = ({ dispatches }: Plan): string[] => [...new Set(dispatches.map(({ shader }) => shader))];

const nameOf = ({ dispatches }: Plan): string =>
  [...new Set(dispatches.map(({ shader, texels }) => shader + (texels.length > 0 ? ' (texels)' : '')))].join('+');

/** What a plan's shaders have baked in that another's of the same shaders have not: `ROWS 4 COLUMNS 4`. */
function differences(plan: Plan, first: Plan): string {
  const differing = plan.dispatches.flatMap(({ constants = {} }, i) =>
    Object.entries(constants).filter(([name, value]) => first.dispatches[i]?.constants?.[name] !== value),
  );
  return [...new Set(differing.map(([name, value]) => `${name} ${value}`))].join(' ');
}

/** The shaders; of several forms with the same ones those behind the first, which the rule prefers, with their sizes. */
function variantsOf(plans: readonly Plan[]): string[] {
  const first = new Map<string, Plan>();
  return plans.map((plan) => {
    const name = nameOf(plan);
    const before = first.get(name);
    if (before) return `${name}, ${differences(plan, before)}`;
    first.set(name, plan);
    return name;
  });
}

/**
 * The arms of a work; with `allVariants` a convolution has one for each form, else the one of the adapter's own rule.
 * @throws Error when a convolution is wrong
 */
export async function armsOf(device: Device, work: Work, allVariants: boolean): Promise<Arm[]> {
  if (!isConvolution(work.node)) {
    const { plan } = await compile(device, work);
    return [{ work, variant: nameOf(plan), shaders: shadersOf(plan), plan, error: null }];
  }
  const plain = await compile(device.withKernels('plain'), work);
  const reference = await plain.result();
  plain.plan.destroy();
  const compiled = allVariants ? await compileForms(device, work) : [await compile(device, work)];
  const variants = variantsOf(compiled.map(({ plan }) => plan));
  const tolerance = TOLERANCE[work.precision];
  const arms: Arm[] = [];
  for (const [i, { plan, result }] of compiled.entries()) {
    const variant = variants[i];
    const error = relativeError(await result(), reference);
    if (!(error <= tolerance)) {
      throw new Error(
        `${work.name} ${work.shape}: ${variant} differs from the plain kernels by ${error} of the largest value`,
      );
    }
    arms.push({ work, variant, shaders: shadersOf(plan), plan, error: Number(error.toExponential(1)) });
  }
  return arms;
}
