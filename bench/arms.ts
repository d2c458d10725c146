/** Plans of single calls, in each form that is asked for, convolutions checked against the plain kernels before they are timed. */
import type { Device, FormChooser } from '../engine/device.js';
import type { Node } from '../engine/graph.js';
import { type Alone, relativeError, roundingOf, runAlone } from '../engine/isolate.js';
import type { Plan } from '../engine/plan.js';
import { isConvolution } from './cost.js';
import type { Work } from './works.js';

export interface Arm {
  work: Work;
  /** The shaders, in order. */
  variant: string;
  shaders: readonly string[];
  plan: Plan;
  /** Against the plain kernels; null for ops that have one form only. */
  error: number | null;
}

/** Inputs of a convolution; other ops take variances and probabilities, which are between 0 and 1. */
const rangeOf = (node: Node) => (isConvolution(node) ? [-1, 1] : [0.1, 0.9]) as [number, number];

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
async function compileForms(device: Device, work: Work): Promise<Alone[]> {
  const forms = new Map<string, Alone>();
  for (const family of families(device)) {
    let places = 1;
    for (let place = 0; place < places; place++) {
      const choose: FormChooser = (_, names) => {
        places = Math.max(places, names.length);
        return Math.min(place, names.length - 1);
      };
      const compiled = await runAlone(family.withHabits({ choose }), work.node, rangeOf(work.node));
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
    // Types of what is stored follow from the sizes.
    Object.entries(constants).filter(
      ([name, value]) => typeof value !== 'string' && first.dispatches[i]?.constants?.[name] !== value,
    ),
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
    const { plan } = await runAlone(device, work.node, rangeOf(work.node));
    return [{ work, variant: nameOf(plan), shaders: shadersOf(plan), plan, error: null }];
  }
  const plain = await runAlone(device.withKernels('plain'), work.node, rangeOf(work.node));
  const reference = await plain.result();
  plain.plan.destroy();
  const compiled = allVariants ? await compileForms(device, work) : [await runAlone(device, work.node, rangeOf(work.node))];
  const variants = variantsOf(compiled.map(({ plan }) => plan));
  const tolerance = roundingOf(work.node);
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
