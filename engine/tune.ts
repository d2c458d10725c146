/**
 * Forms of kernels by measuring instead of by rule. What plans ask a chooser (`FormChooser`) is collected from their calls. A call
 * for which there are several forms is run alone with each of them: a form has to compute what the plain kernels compute before
 * it may be timed, and it takes the place of the rule's favourite only when it is clearly faster. The same choices give the same
 * bits, so they are kept and given back (`following`).
 */
import { lower, planMemory } from './arrange.js';
import { requestOf } from './bind.js';
import { type Device, DeviceError, type FormChooser } from './device.js';
import { compileAll } from './firstUse.js';
import type { Node, Tensor } from './graph.js';
import { type Alone, isolate, relativeError, roundingOf, runAlone } from './isolate.js';
import { race, type Rounds, type Timing } from './timing.js';

/** Names of forms by work. */
export type Choices = Readonly<Record<string, string>>;

/**
 * A chooser that follows choices; the rule decides about works that they do not name.
 * @param onGone told of a form that there is no longer: the rule decides there, too
 */
export const following =
  (choices: Choices, onGone?: (work: string, form: string) => void): FormChooser =>
  (work, forms) => {
    const place = forms.indexOf(choices[work]);
    if (place >= 0) return place;
    if (work in choices) onGone?.(work, choices[work]);
    return undefined;
  };

/** A work that more than one form can do. */
export interface Question {
  work: string;
  /** The rule's favourite first. */
  forms: readonly string[];
  /** A call that asks it. */
  node: Node;
  /** How many of the calls ask it. */
  calls: number;
}

/** What these calls ask on the device, each work once. */
export function questionsOf(device: Device, nodes: readonly Node[]): Question[] {
  const found = new Map<string, Question & { alone: boolean }>();
  for (const node of nodes) {
    const asked = new Map<string, readonly string[]>();
    const choose: FormChooser = (work, forms) => {
      asked.set(work, forms);
      return undefined;
    };
    lower(device.withHabits({ choose }), node);
    const alone = asked.size === 1;
    for (const [work, forms] of asked) {
      const known = found.get(work);
      // A call that asks nothing else shows the work's own time.
      const kept = known && (known.alone || !alone) ? known : { work, forms, node, alone };
      found.set(work, { ...kept, calls: (known?.calls ?? 0) + 1 });
    }
  }
  return [...found.values()];
}

/** A question that was decided. */
export interface Answer extends Question {
  form: string;
  /** Milliseconds of a call with the rule's favourite and with this form; 0 where there was nothing to compare. */
  favouriteMs: number;
  ms: number;
}

export interface TuneOptions {
  /** Most bytes that may be held at a time. Default the adapter's largest buffer: it has at least that. */
  budget?: number;
  /** Gets each answer as soon as it is known. */
  onAnswer?: (answer: Answer) => void;
  /** Told of each form that is left out, and why. */
  onRefused?: (message: string) => void;
  /** Times plans in turn; for tests. */
  time?: (device: Device, plans: readonly Alone['plan'][], rounds: Rounds) => Promise<Timing[]>;
}

/** The rule's favourite stays unless another form takes less than this part of its time: noise is not to decide. */
const CLEARLY = 0.97;

const isClear = ([champion, challenger]: readonly [number, number]): boolean => challenger < CLEARLY * champion;

/** A form that takes so many times as long in a single short round is out at once. */
const HOPELESS = 1.3;
const GLANCE: Rounds = { rounds: 1, roundMs: 10 };
const DUEL: Rounds = { rounds: 7, roundMs: 20 };

/**
 * Decides the questions one after another.
 * @throws DeviceError when the device is lost, or when no form of a work is right
 */
export async function tune(device: Device, questions: readonly Question[], options: TuneOptions = {}): Promise<void> {
  await compileForms(device, questions);
  for (const question of questions) options.onAnswer?.(await decide(device, question, options));
}

const withForm = (device: Device, { work }: Question, form: number): Device =>
  device.withHabits({ choose: (asked) => (asked === work ? form : undefined) });

/**
 * The device with plain kernels that get as few images at a time as can be bound: they are slow, and some drivers give up a
 * dispatch that takes seconds.
 */
function plainly(device: Device, { inputs, outputs }: Node): Device {
  const images = [...inputs, ...outputs].filter(({ layout }) => layout === 'image');
  const [count] = images[0].shape;
  const bytesOf = ({ bytes }: Tensor, few: number) => (bytes / count) * few;
  const fits = (few: number) =>
    images.every((image) => bytesOf(image, few) % device.traits.storageOffsetAlignment === 0);
  let few = 1;
  while (few < count && !fits(few)) few++;
  const maxBindingBytes = Math.max(...images.map((image) => bytesOf(image, few)));
  return device.withKernels('plain').withHabits({ maxBindingBytes });
}

/** Compiles all forms and the plain kernels in parallel, but for those that do not compile, which are found again later. */
async function compileForms(device: Device, questions: readonly Question[]): Promise<void> {
  const requests = questions.flatMap((question) => {
    const devices = [
      plainly(device, question.node),
      ...question.forms.map((_, form) => withForm(device, question, form)),
    ];
    return devices.flatMap((one) => lower(one, question.node).map((dispatch) => requestOf(one, dispatch)));
  });
  const compiled = await Promise.allSettled(requests.map((request) => device.pipelines.get(request)));
  const good = requests.filter((_, i) => compiled[i].status === 'fulfilled');
  await compileAll(device, good);
}

/** A form that may be timed. */
interface Arm extends Alone {
  form: string;
  bytes: number;
}

const describe = ({ node }: Question): string => `${node.op.name} of ${node.inputs.join(', ')}`;

async function decide(device: Device, question: Question, options: TuneOptions): Promise<Answer> {
  const { budget = device.gpu.limits.maxBufferSize, onRefused = () => {}, time = raceByClock } = options;
  const { node } = question;
  const plain = await runAlone(plainly(device, node), node, [-1, 1]);
  const reference = await plain.result();
  plain.plan.destroy();

  let champion: Arm | undefined;
  let favouriteMs = 0;
  /** Of the champion's time to the first one's, by the duels that it and those before it won. */
  let share = 1;
  for (const [i, form] of question.forms.entries()) {
    const refuse = (why: string) => onRefused(`${describe(question)}: ${form} ${why}`);
    const own = withForm(device, question, i);
    const bytes = bytesOf(own, node);
    if (champion && champion.bytes + bytes > budget) {
      refuse(`is not tried: beside ${champion.form} it would take more than ${budget} bytes`);
      continue;
    }
    const alone = await rightOne(own, node, reference, refuse);
    if (!alone) continue;
    const arm: Arm = { ...alone, form, bytes };
    if (!champion) {
      champion = arm;
      continue;
    }
    const [before, after] = await duel(device, champion, arm, time);
    favouriteMs ||= before;
    const won = isClear([before, after]);
    (won ? champion : arm).plan.destroy();
    if (!won) continue;
    champion = arm;
    share *= after / before;
  }
  if (!champion) {
    throw new DeviceError(
      `${describe(question)}: no form computes what the plain kernels do on this adapter; trimap verify says more`,
    );
  }
  champion.plan.destroy();
  return { ...question, form: champion.form, favouriteMs, ms: favouriteMs * share };
}

/** The call with a form that does what the plain kernels do; undefined when it does not. */
async function rightOne(
  device: Device,
  node: Node,
  reference: Float32Array,
  refuse: (why: string) => void,
): Promise<Alone | undefined> {
  let alone: Alone | undefined;
  try {
    alone = await runAlone(device, node, [-1, 1]);
    const error = relativeError(await alone.result(), reference);
    if (error <= roundingOf(node)) return alone;
    refuse(`is wrong on this adapter: it differs from the plain kernels by ${error} of the largest value`);
  } catch (error) {
    // A device that is lost is no fault of this form alone.
    device.check();
    refuse(`cannot be used: ${(error as Error).message}`);
  }
  alone?.plan.destroy();
  return undefined;
}

function bytesOf(device: Device, node: Node): number {
  const graph = isolate(node);
  const { transient, inputs } = planMemory(device, graph, { outputs: graph.nodes[0].outputs });
  return transient + inputs;
}

/** Milliseconds of both, as the last race had them. */
async function duel(
  device: Device,
  champion: Arm,
  challenger: Arm,
  time: NonNullable<TuneOptions['time']>,
): Promise<[champion: number, challenger: number]> {
  const measure = async (rounds: Rounds): Promise<[number, number]> => {
    const [one, other] = await time(device, [champion.plan, challenger.plan], rounds);
    return [one.gpu ?? one.median, other.gpu ?? other.median];
  };
  let times = await measure(GLANCE);
  if (times[1] > HOPELESS * times[0]) return times;
  // Something else that the machine does may decide one duel; the challenger has to win two.
  for (let duels = 0; duels < 2; duels++) {
    times = await measure(DUEL);
    if (!isClear(times)) break;
  }
  return times;
}

/** A processor's timestamps say no more than the clock, and each costs a pass of its own. */
const raceByClock: NonNullable<TuneOptions['time']> = (device, plans, rounds) =>
  race(device, plans, rounds, !device.traits.cpu);
