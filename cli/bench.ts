/** `trimap bench`: what the adapter and this machine do in a second. Rows go to stdout, everything else to stderr. */
import { writeFileSync } from 'node:fs';
import { comparisonTable, compareRows, readRows, type Row, rowTable } from '../bench/rows.js';
import { openDevice, type OpenOptions } from '../engine/dawn.js';
import type { Device } from '../engine/device.js';
import type { Node } from '../engine/graph.js';
import type { Dtype } from '../engine/layout.js';
import type { NetworkName } from '../nets/networks.js';
import { UsageError } from './errors.js';
import { Progress } from './progress.js';

interface BenchFlags {
  adapter?: string;
  rounds?: number;
  compare?: string;
  json: boolean;
}

interface SizeFlags {
  size?: number;
  baseWidth?: number;
  batchSize?: number;
}

export interface KernelFlags extends BenchFlags, SizeFlags {
  tune?: true | string;
  filter?: string;
  allVariants?: boolean;
  precision?: Dtype;
}

export interface StepFlags extends BenchFlags, SizeFlags {
  tune?: true | string;
  net?: NetworkName;
  precision?: Dtype;
  memory?: boolean;
  checkpointActivations?: boolean;
  skipCompile?: boolean;
  profile?: string;
}

export interface DataFlags extends BenchFlags, Pick<SizeFlags, 'size' | 'batchSize'> {
  dataPath?: string;
  photos?: number;
}

export interface PeerFlags extends BenchFlags, SizeFlags {
  filter?: string;
  only?: string;
  install?: boolean;
  python?: string;
  precision?: Dtype;
}

const sizesOf = ({ size = 128, baseWidth = 16, batchSize = 4 }: SizeFlags) => ({ size, baseWidth, batch: batchSize });
const roundsOf = ({ rounds = 5 }: BenchFlags, roundMs: number) => ({ rounds, roundMs });

/** Opens the adapter, says which it is, and closes it at the end. */
async function withDevice({ adapter, precision }: OpenOptions, work: (device: Device) => Promise<void>): Promise<void> {
  const device = await openDevice({ adapter, precision, exactTimestamps: true });
  try {
    console.error(`adapter: ${device.description}`);
    if (device.traits.cpu) console.error('this is a processor: the figures say nothing about a graphics card');
    await work(device);
  } finally {
    device.close();
  }
}

/** The device with measured forms for these calls, where they are asked for. */
async function withForms(
  device: Device,
  tune: true | string | undefined,
  calls: () => Promise<Node[]>,
): Promise<Device> {
  if (tune === undefined) return device;
  const { chooseForms } = await import('./tuning.js');
  return (await chooseForms(device, await calls(), tune, new Progress(process.stderr))).device;
}

/** Prints rows as they come under --json, else all at the end in a table; then what they are against an older file. */
async function report(
  { json, compare, before }: BenchFlags & { before?: readonly Row[] },
  columns: readonly string[],
  measure: (emit: (row: Row) => void) => Promise<void>,
): Promise<void> {
  const rows: Row[] = [];
  await measure((row) => {
    rows.push(row);
    if (json) console.log(JSON.stringify(row));
  });
  if (!json) console.log(rowTable(rows, columns));
  if (before) {
    // A file may hold rows of several benches; those of the others are not missing.
    const own = before.filter(({ bench }) => rows.some((row) => row.bench === bench));
    const text = comparisonTable(compareRows(own, rows));
    if (json) console.error(text);
    else console.log(`\nagainst ${compare}:\n${text}`);
  }
}

/** The rows of --compare, read before anything is measured. */
function withOld<T extends BenchFlags>(flags: T): T & { before?: readonly Row[] } {
  try {
    return { ...flags, before: flags.compare === undefined ? undefined : readRows(flags.compare) };
  } catch (error) {
    throw new UsageError(`--compare: ${(error as Error).message}`);
  }
}

const COLUMNS = ['work', 'shape', 'variant', 'value', 'median', 'worst', 'unit'] as const;

export async function kernels(flags: KernelFlags): Promise<number> {
  const { benchKernels, isChosen } = await import('../bench/kernels.js');
  const { adapter, filter, allVariants = false, precision = 'f32' } = flags;
  const { before, ...rest } = withOld(flags);
  // What the filter leaves out now is not missing.
  const compared = { ...rest, before: before?.filter(({ work, shape }) => isChosen(work, shape, filter)) };
  const sizes = { ...sizesOf(flags), precision };
  const options = { ...sizes, ...roundsOf(flags, 50), filter, allVariants };
  await withDevice({ adapter, precision }, async (device) => {
    const tuned = await withForms(device, flags.tune, async () => {
      const { collectWorks } = await import('../bench/works.js');
      const { works, destroy } = collectWorks(device, sizes);
      destroy();
      return works.filter(({ name, shape }) => isChosen(name, shape, filter)).map(({ node }) => node);
    });
    await report(compared, [...COLUMNS, 'gpu', 'fraction', 'error'], (emit) => benchKernels(tuned, options, emit));
  });
  return 0;
}

export async function step(flags: StepFlags): Promise<number> {
  const { benchStep, memoryOf, prepareSteps, settingsOf } = await import('../bench/step.js');
  const { net = 'unet', precision = 'f32', memory, checkpointActivations, skipCompile, profile: trace } = flags;
  const { adapter } = flags;
  const options = {
    ...sizesOf(flags),
    ...roundsOf(flags, 200),
    net,
    adapter,
    precision,
    checkpointActivations,
    skipCompile,
  };
  const times = ['compile_ms', 'compile_warm_ms', 'host_ms', 'host_total_ms', 'script_ms'];
  const columns = [...COLUMNS, 'gpu', 'dispatches', 'peak_bytes', ...times];
  const compared = withOld(flags);
  await withDevice({ adapter, precision }, async (opened) => {
    const device = await withForms(opened, flags.tune, async () => {
      const { callsOf } = await import('../nets/calls.js');
      return callsOf(opened, settingsOf(options), settingsOf(options));
    });
    const steps = await prepareSteps(device, options);
    if (memory) console.error(memoryOf(steps));
    if (trace !== undefined) {
      const { chromeTrace, profile, profileTable } = await import('../bench/profile.js');
      const { measureCeilings } = await import('../bench/ceilings.js');
      const dispatches = await profile(device, steps.training.plan);
      console.error(profileTable(dispatches, await measureCeilings(device, roundsOf(flags, 50))));
      writeFileSync(trace, chromeTrace(`training step, ${net}`, device.description, dispatches));
      console.error(`wrote ${trace}`);
    }
    await report(compared, columns, async (emit) => (await benchStep(device, steps, options)).forEach(emit));
    steps.training.destroy();
    steps.evaluation.destroy();
    steps.variables.destroy();
  });
  return 0;
}

export async function data(flags: DataFlags): Promise<number> {
  const { benchData } = await import('../bench/data.js');
  const { dataPath, photos = 64 } = flags;
  const { size, batch } = sizesOf(flags);
  const compared = withOld(flags);
  await withDevice({ adapter: flags.adapter }, (device) =>
    report(compared, COLUMNS, async (emit) => {
      const rows = await benchData(device, { dataPath, photos, size, batch, ...roundsOf(flags, 50) });
      rows.forEach(emit);
    }),
  );
  return 0;
}

export async function peers(flags: PeerFlags): Promise<number> {
  const { benchPeers } = await import('../bench/peers.js');
  const { isChosen } = await import('../bench/kernels.js');
  const { adapter, filter, only, install, python = 'python3', precision = 'f32', rounds = 3 } = flags;
  const { before, ...rest } = withOld(flags);
  const compared = { ...rest, before: before?.filter(({ work, shape }) => isChosen(work, shape, filter)) };
  const options = { ...sizesOf(flags), rounds, roundMs: 200, adapter, filter, only, install, python, precision };
  await report(compared, [...COLUMNS, 'ratio', 'error', 'note'], (emit) =>
    benchPeers(options, emit, (line) => console.error(line)),
  );
  return 0;
}
