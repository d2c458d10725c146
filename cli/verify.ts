/** `trimap verify`: runs the reference cases of a directory on the present adapter. */
import { fileURLToPath } from 'node:url';
import { DeviceError, type Device } from '../engine/device.js';
import { type OutputFlags, Progress } from './progress.js';
import { type GoldenCase, GoldenTensors, readIndex } from './verify/golden.js';
import { AS_CHOSEN, variantsOf } from './verify/variants.js';
import { NotOffered, type Verdict } from './verify/judge.js';

export interface VerifyFlags extends OutputFlags {
  golden?: string;
  adapter?: string;
  allVariants?: boolean;
}

/** A case and how it went; what `--json` prints. */
export interface CaseResult {
  /** Under `--all-variants` what was forced. */
  variant?: string;
  name: string;
  kind: string;
  op: string;
  /** null for a case of a form that is not offered: neither passed nor failed; `error` says which form is. */
  pass: boolean | null;
  /** Largest error as a ratio to its tolerance; null where a value is missing or not a number. */
  worst: number | null;
  /** The tensor that `worst` is of. */
  tensor: string | null;
  error: string | null;
}

/** The cases that come with the package. */
const PACKAGED = fileURLToPath(new URL('../../tests/golden/', import.meta.url));

type Runner = (device: Device, golden: GoldenTensors) => Promise<Verdict[]>;

/** By kind; the modules hold all ops, so they are loaded after the first line. */
const runners: Record<string, () => Promise<Runner>> = {
  op: async () => (await import('./verify/ops.js')).runOpCase,
  optimizer: async () => (await import('./verify/optimizers.js')).runOptimizerCase,
  network: async () => (await import('./verify/networks.js')).runNetworkCase,
  fullwidth: async () => (await import('./verify/networks.js')).runFullWidthCase,
  image: async () => (await import('./verify/images.js')).runImageCase,
};

export async function verify({
  golden: directory = PACKAGED,
  adapter,
  allVariants,
  json,
  quiet,
}: VerifyFlags): Promise<number> {
  const progress = Progress.of({ json, quiet });
  progress.line(`verifying the cases in ${directory}`);
  const cases = readIndex(directory);
  const { openDevice } = await import('../engine/dawn.js');
  let device = await openDevice({ adapter });
  const results: CaseResult[] = [];
  try {
    progress.line(`adapter: ${device.description}`);
    for (const { name: variant, force } of allVariants ? variantsOf(device) : [AS_CHOSEN]) {
      const own: CaseResult[] = [];
      for (const [i, golden] of cases.entries()) {
        progress.update('cases', i, cases.length, () => [...(allVariants ? [variant] : []), String(golden?.name)]);
        const { result, error } = await runCase(force(device), directory, golden, i);
        own.push(allVariants ? { variant, ...result } : result);
        if (json) progress.json(own[i]);
        if (error instanceof DeviceError) {
          // A device that has reported an error goes on reporting it; the next case deserves a fresh one.
          device.close();
          device = await openDevice({ adapter });
        }
      }
      progress.clear();
      if (!json) summarise(own, progress, allVariants ? variant : undefined);
      results.push(...own);
    }
  } finally {
    progress.clear();
    device.close();
  }
  return results.some(({ pass }) => pass === false) ? 1 : 0;
}

/** Runs one case. Whatever is wrong with it, with its file or with its entry in the index makes it a failed case. */
async function runCase(
  device: Device,
  directory: string,
  golden: GoldenCase,
  at: number,
): Promise<{ result: CaseResult; error?: unknown }> {
  const text = (value: unknown, otherwise: string) => (typeof value === 'string' ? value : otherwise);
  const name = text(golden?.name, `case ${at}`);
  const identity = { name, kind: text(golden?.kind, 'unknown'), op: text(golden?.op, 'unknown') };
  try {
    if (typeof golden?.file !== 'string' || typeof golden.tolerance?.default !== 'object') {
      throw new Error('its entry in index.json lacks a file or a default tolerance');
    }
    if (!Object.hasOwn(runners, identity.kind)) {
      throw new Error(`no kind ${identity.kind}; known are ${Object.keys(runners).join(', ')}`);
    }
    const run = await runners[identity.kind]();
    const verdicts = await run(device, new GoldenTensors(directory, { ...golden, options: golden.options ?? {} }));
    return { result: { ...identity, ...worstOf(verdicts) } };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const unjudged = { worst: null, tensor: null };
    if (error instanceof NotOffered) {
      return { result: { ...identity, pass: null, ...unjudged, error: `not offered: ${message}` } };
    }
    return { result: { ...identity, pass: false, ...unjudged, error: message }, error };
  }
}

function worstOf(verdicts: readonly Verdict[]): Pick<CaseResult, 'pass' | 'worst' | 'tensor' | 'error'> {
  if (verdicts.length === 0)
    return { pass: false, worst: null, tensor: null, error: 'the file has nothing to compare' };
  const rank = ({ ratio }: Verdict) => (Number.isNaN(ratio) ? Infinity : ratio);
  const { tensor, ratio, where } = verdicts.reduce((worst, verdict) => (rank(verdict) > rank(worst) ? verdict : worst));
  const pass = ratio <= 1;
  return { pass, worst: Number.isFinite(ratio) ? ratio : null, tensor, error: pass ? null : `${tensor}: ${where}` };
}

/** A line a kind, then the cases that are not offered and the failures; after the variant's name, where one was forced. */
function summarise(results: readonly CaseResult[], progress: Progress, variant?: string): void {
  if (variant !== undefined) progress.result(`\n${variant}`);
  const kinds = [...new Set(results.map(({ kind }) => kind))];
  const ratio = ({ worst }: CaseResult) =>
    worst === null ? 'not comparable' : `${worst.toPrecision(2)} of the tolerance`;
  const rank = ({ worst }: CaseResult) => worst ?? Infinity;
  for (const kind of kinds) {
    const all = results.filter((result) => result.kind === kind);
    const own = all.filter(({ pass }) => pass !== null);
    const others = own.length < all.length ? `, ${all.length - own.length} not offered` : '';
    if (own.length === 0) {
      progress.result(`${kind}: none to judge${others}`);
      continue;
    }
    const worst = own.reduce((a, b) => (rank(b) > rank(a) ? b : a));
    const passed = own.filter(({ pass }) => pass).length;
    progress.result(
      `${kind}: ${passed} of ${own.length} passed, worst ${worst.name} ` +
        `(${ratio(worst)}${worst.tensor ? `, ${worst.tensor}` : ''})${others}`,
    );
  }
  for (const { kind, name, error } of results.filter(({ pass }) => pass === null)) {
    progress.result(`${kind} ${name} is ${error}`);
  }
  for (const result of results.filter(({ pass }) => pass === false)) {
    progress.result(
      `FAILED ${result.kind} ${result.name}${result.worst === null ? '' : ` (${ratio(result)})`}: ${result.error}`,
    );
  }
  if (results.length === 0) progress.result('the index lists no cases');
}
