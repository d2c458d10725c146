/**
 * Which forms of the kernels a command takes: the rule's, or choices that were measured (`engine/tune.ts`). What is measured is
 * kept by adapter, below the cache folder; what a run uses goes into its folder, so that whatever goes on with the run or
 * repeats it computes the same bits.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DataError } from '../data/errors.js';
import { writeFileAtomic } from '../data/files.js';
import type { Device } from '../engine/device.js';
import type { Node } from '../engine/graph.js';
import { type Answer, type Choices, following, type Question, questionsOf, tune } from '../engine/tune.js';
import { callsOf } from '../nets/calls.js';
import type { Progress } from './progress.js';
import { modelSettings, type RunSettings, trainingSettings } from './settings.js';

const VERSION = 1;

/** A file of choices, such as a run's `kernels.json`. */
export interface KernelFile {
  version: typeof VERSION;
  /** The device's description; on another one the choices say nothing. */
  adapter: string;
  choices: Choices;
}

/** @throws DataError when there is no such file, or it holds something else */
export function readKernels(path: string): KernelFile {
  const wrong = (why: string) => new DataError(`${path} ${why}`);
  if (!existsSync(path)) throw wrong("does not exist; it is a tuned run's kernels.json, or a copy of one");
  let file: Partial<KernelFile> | null;
  try {
    file = JSON.parse(readFileSync(path, 'utf8')) as Partial<KernelFile> | null;
  } catch (error) {
    throw wrong(`is not JSON (${(error as Error).message})`);
  }
  const { version, adapter, choices } = file ?? {};
  if (version !== VERSION) throw wrong(`is no file of kernel choices of version ${VERSION}`);
  const named = typeof choices === 'object' && choices !== null && Object.values(choices);
  if (typeof adapter !== 'string' || !named || !named.every((form) => typeof form === 'string')) {
    throw wrong('has no adapter, or no choices by work');
  }
  return { version, adapter, choices: choices as Choices };
}

/** Where the choices of an adapter are kept. */
export function keptAt({ description, platform: { name } }: Device): string {
  const id = createHash('sha256').update(description).digest('hex').slice(0, 8);
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return join('.cache', 'trimap', 'kernels', `${words.join('-').slice(0, 48)}-${id}.json`);
}

function readKept(path: string, device: Device): KernelFile {
  return existsSync(path) ? readKernels(path) : { version: VERSION, adapter: device.description, choices: {} };
}

/** A device, and the choices that it follows, if any. */
export interface Tuned {
  device: Device;
  kernels?: KernelFile;
}

/** The device with a file's choices; says so where they are of another adapter, or where the engine has changed since. */
function follow(device: Device, path: string, progress: Progress): Tuned {
  const kernels = readKernels(path);
  if (kernels.adapter !== device.description) {
    progress.line(`kernels: ${path} is of ${kernels.adapter}; here the rule chooses`);
    return { device };
  }
  let said = false;
  const choose = following(kernels.choices, (work, form) => {
    if (said) return;
    said = true;
    progress.line(
      `kernels: ${path} has forms that there are no longer (${form} for ${work}, ...); there the rule chooses`,
    );
  });
  return { device: device.withHabits({ choose }), kernels };
}

/**
 * The device for these calls.
 * @param choice true: what is not known of this adapter is measured; a file's path: its choices
 * @param measure false: what is not known is left to the rule
 * @throws DataError when a file is not there or damaged
 */
export async function chooseForms(
  device: Device,
  nodes: readonly Node[],
  choice: true | string,
  progress: Progress,
  measure = true,
): Promise<Tuned> {
  const questions = questionsOf(device, nodes);
  if (choice !== true) {
    const tuned = follow(device, choice, progress);
    const { choices } = tuned.kernels ?? {};
    if (choices) progress.line(`kernels: ${choice}: ${counted(questions, choices)}`);
    return tuned;
  }
  const path = keptAt(device);
  const { choices: kept } = readKept(path, device);
  const missing = questions.filter(({ work, forms }) => !forms.includes(kept[work]));
  const gone = missing.filter(({ work }) => work in kept);
  if (gone.length > 0) {
    progress.line(
      `kernels: ${gone.length} choices of ${path} are of forms that there are no longer (${kept[gone[0].work]}, ...)`,
    );
  }
  const choices = { ...kept };
  if (measure) Object.assign(choices, await measureForms(device, missing, path, progress));
  const inUse = Object.fromEntries(
    questions.flatMap(({ work, forms }) => (forms.includes(choices[work]) ? [[work, choices[work]]] : [])),
  );
  progress.line(`kernels: ${path}: ${counted(questions, inUse)}`);
  return {
    device: device.withHabits({ choose: following(inUse) }),
    kernels: { version: VERSION, adapter: device.description, choices: inUse },
  };
}

function counted(questions: readonly Question[], choices: Choices): string {
  const known = questions.filter(({ work, forms }) => forms.includes(choices[work]));
  const others = known.filter(({ work, forms }) => choices[work] !== forms[0]);
  const rest =
    questions.length > known.length ? `; the rule chooses for the other ${questions.length - known.length}` : '';
  return `choices for ${known.length} of ${questions.length} works, ${others.length} of them not the rule's${rest}`;
}

/** Measures, and keeps each choice at once: whoever stops this loses the last one at most. */
async function measureForms(
  device: Device,
  questions: readonly Question[],
  path: string,
  progress: Progress,
): Promise<Choices> {
  if (questions.length === 0) return {};
  progress.line(`kernels: measuring the forms of ${questions.length} works, which this adapter needs once ...`);
  const start = performance.now();
  const answers: Answer[] = [];
  await tune(device, questions, {
    onRefused: (message) => progress.warning(message),
    onAnswer: (answer) => {
      answers.push(answer);
      progress.update('measuring kernels', answers.length, questions.length, () => [answer.work]);
      const { choices, ...rest } = readKept(path, device);
      const more = { ...choices, [answer.work]: answer.form };
      writeFileAtomic(path, `${JSON.stringify({ ...rest, choices: more }, null, 2)}\n`);
    },
  });
  const sum = (of: (answer: Answer) => number) => answers.reduce((total, one) => total + one.calls * of(one), 0);
  const [before, after] = [sum(({ favouriteMs }) => favouriteMs), sum(({ ms }) => ms)];
  const changed = answers.filter(({ form, forms }) => form !== forms[0]).length;
  progress.line(
    `kernels: measured ${answers.length} works in ${((performance.now() - start) / 1000).toFixed(1)} s: ${changed} have a ` +
      `faster form than the rule's; their calls, a training and a validation step's, would take ` +
      `${after.toFixed(1)} ms instead of ${before.toFixed(1)} (${((100 * (after - before)) / before).toFixed(1)} %)`,
  );
  return Object.fromEntries(answers.map(({ work, form }) => [work, form]));
}

/** The device for a run's steps, as its settings have it. @param parts see `TrainingSettings.microBatches` */
export async function tuneRun(
  device: Device,
  settings: RunSettings,
  { parts, validBatch }: { parts: number; validBatch: number },
  progress: Progress,
  measure = true,
): Promise<Tuned> {
  const { tune: choice = null } = settings;
  if (choice === null) return { device };
  const evaluation = { ...modelSettings(settings), batch: validBatch };
  return chooseForms(device, callsOf(device, trainingSettings(settings, parts), evaluation), choice, progress, measure);
}

/** The device with the choices of the run that weights are of. @param model their file; the choices lie beside it */
export function asTrained(device: Device, { tune: choice }: RunSettings, model: string, progress: Progress): Device {
  if (typeof choice !== 'string') return device;
  const path = join(dirname(model), choice);
  if (existsSync(path)) return follow(device, path, progress).device;
  progress.line(`kernels: the run was tuned, but ${path} is not there; the rule chooses`);
  return device;
}
