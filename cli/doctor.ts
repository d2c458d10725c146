/** `trimap doctor`: whether this machine can train, and for each problem the command that solves it. */
import { accessSync, constants, existsSync, mkdtempSync, rmSync, statSync, statfsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { openDataset } from '../data/dataset.js';
import { DataError } from '../data/errors.js';
import { type Device, DeviceError } from '../engine/device.js';
import { Graph } from '../engine/graph.js';
import { conv2d } from '../engine/ops/conv2d.js';
import { Plan } from '../engine/plan.js';
import { chooseMicroBatches, describeMicroBatches } from '../nets/microBatches.js';
import { type OutputFlags, type Paint, Progress } from './progress.js';
import { trainingSettings } from './settings.js';
import { resolveSettings } from './trainFlags.js';

export interface DoctorFlags extends OutputFlags {
  dataPath?: string;
  adapter?: string;
}

/** What was found out about one thing. */
export interface Finding {
  subject: string;
  /** `note`: training works, and yet it is good to know. */
  state: 'ok' | 'note' | 'problem';
  found: string;
  /** For the shell: solves the problem, or shows more. */
  command?: string;
  /** Of the process, where it is a problem. */
  exitCode?: 1 | 3 | 4;
}

const { engines } = createRequire(import.meta.url)('../../package.json') as { engines: { node: string } };

/** Where `trimap download` puts the photos. */
const DEFAULT_DATA = 'oxford-iiit-pet';

const ENOUGH_DISK_BYTES = 2 * 2 ** 30;

export async function doctor({ dataPath, adapter, json, quiet }: DoctorFlags): Promise<number> {
  const progress = Progress.of({ json, quiet });
  const findings: Finding[] = [];
  const tell = (...found: Finding[]) => {
    for (const finding of found) {
      findings.push(finding);
      if (json) progress.json(finding);
      else show(finding, progress);
    }
  };
  tell(checkNode(process.versions.node));
  tell(...(await checkAdapter(adapter)));
  tell(...['runs', '.cache/trimap'].map(checkWriting), checkDisk('.'));
  tell(checkData(dataPath));
  const problems = findings.filter(({ state }) => state === 'problem');
  const many = `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`;
  if (!json) progress.result(problems.length === 0 ? '\nready to train' : `\n${many}`);
  return problems[0]?.exitCode ?? 0;
}

const COLOURS: Record<Finding['state'], Paint> = { ok: 'green', note: 'dim', problem: 'yellow' };

function show({ subject, state, found, command }: Finding, progress: Progress): void {
  const line = `${progress.paint(state.padEnd(8), COLOURS[state])} ${subject.padEnd(10)} ${found}`;
  const lines = command === undefined ? [line] : [line, `${' '.repeat(20)}-> ${command}`];
  for (const text of lines) {
    if (state === 'problem') progress.result(text);
    else progress.line(text);
  }
}

/** @param version such as 20.19.4 */
export function checkNode(version: string): Finding {
  const wanted = engines.node.replace('>=', '');
  const [major, minor] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = wanted.split('.').map(Number);
  const good = major > leastMajor || (major === leastMajor && minor >= leastMinor);
  const found = `${version}, ${wanted} or newer is needed`;
  if (good) return { subject: 'Node', state: 'ok', found };
  return { subject: 'Node', state: 'problem', found, command: `nvm install ${leastMajor}`, exitCode: 1 };
}

async function checkAdapter(adapter: string | undefined): Promise<Finding[]> {
  const { openDevice } = await import('../engine/dawn.js');
  let device: Device;
  try {
    device = await openDevice({ adapter });
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    const command = adapter === undefined ? 'node cli/setup.mjs' : 'npx trimap info';
    return [{ subject: 'adapter', state: 'problem', found: error.message, command, exitCode: 4 }];
  }
  try {
    return [...describeDevice(device), await checkArithmetic(device)];
  } finally {
    device.close();
  }
}

function describeDevice(device: Device): Finding[] {
  const { info } = device.adapter;
  const features = ['subgroups', 'shader-f16', 'timestamp-query', 'chromium-experimental-subgroup-matrix'];
  const listed = features.map((name) => `${device.adapter.features.has(name) ? 'has' : 'lacks'} ${name}`);
  const { maxBufferSize, maxStorageBufferBindingSize } = device.gpu.limits;
  const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  const settings = resolveSettings({ dataPath: DEFAULT_DATA });
  const fit = chooseMicroBatches(device, trainingSettings(settings, 1));
  return [
    device.traits.cpu
      ? {
          subject: 'adapter',
          state: 'note',
          found: `${device.description}: trains, many times slower than a graphics card; one needs its Vulkan driver`,
          command: 'vulkaninfo --summary',
        }
      : { subject: 'adapter', state: 'ok', found: device.description },
    { subject: 'driver', state: 'ok', found: [info.vendor, info.architecture, info.description].join(' ').trim() },
    { subject: 'features', state: 'ok', found: listed.join(', ') },
    {
      subject: 'limits',
      state: 'ok',
      found: `buffers of ${gibibytes(maxBufferSize)}, bindings of ${gibibytes(maxStorageBufferBindingSize)}`,
    },
    {
      subject: 'memory',
      state: fit.fits ? 'ok' : 'note',
      found: `${settings.net}, ${settings.size}x${settings.size}: ${describeMicroBatches(fit)}`,
    },
  ];
}

/** A convolution whose result is known: a 3x3 sum over ones of 5 channels. Few faulty drivers get as far. */
async function checkArithmetic(device: Device): Promise<Finding> {
  const [channels, size] = [5, 9];
  const graph = new Graph();
  const x = graph.input('x', [1, channels, size, size]);
  const weight = graph.input('weight', [3, channels, 3, 3], 'filter');
  const y = conv2d(x, weight, undefined, { padding: 1 });
  const subject = 'arithmetic';
  const wrong = (found: string): Finding => ({
    subject,
    state: 'problem',
    found,
    command: 'npx trimap verify',
    exitCode: 4,
  });
  try {
    const plan = await Plan.compile(device, graph, { outputs: [y] });
    plan.write(x, new Float32Array(channels * size * size).fill(1));
    plan.write(weight, new Float32Array(3 * channels * 9).fill(1));
    plan.run();
    const [sums] = await plan.read(y);
    plan.destroy();
    const reach = (at: number) => (at === 0 || at === size - 1 ? 2 : 3);
    const right = (i: number) => channels * reach(i % size) * reach(Math.floor(i / size) % size);
    const at = sums.findIndex((sum, i) => !(sum === right(i)));
    if (at < 0) return { subject, state: 'ok', found: 'a small convolution is right; `trimap verify` checks every op' };
    return wrong(`a small convolution gives ${sums[at]} instead of ${right(at)} at element ${at}`);
  } catch (error) {
    if (error instanceof DeviceError) return wrong(error.message);
    throw error;
  }
}

/** Whether files can be made at `path`, or where `path` would be made. */
export function checkWriting(path: string): Finding {
  const subject = 'writing';
  const problem = (found: string, command: string): Finding => ({
    subject,
    state: 'problem',
    found,
    command,
    exitCode: 1,
  });
  let folder = resolve(path);
  while (!existsSync(folder)) folder = dirname(folder);
  if (!statSync(folder).isDirectory()) {
    return problem(`${folder} is a file where a folder has to be`, `mv '${folder}' '${folder}.old'`);
  }
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    // A file system may be read-only, or full, for all that its modes say.
    rmSync(mkdtempSync(`${folder}/.trimap-`), { recursive: true });
  } catch (error) {
    return problem(`${path} cannot be written: ${(error as Error).message}`, `chmod u+rwx '${folder}'`);
  }
  return { subject, state: 'ok', found: `${path} can be written` };
}

function checkDisk(path: string): Finding {
  const { bavail, bsize } = statfsSync(path);
  const found = `${((bavail * bsize) / 2 ** 30).toFixed(1)} GiB free`;
  if (bavail * bsize >= ENOUGH_DISK_BYTES) return { subject: 'disk', state: 'ok', found };
  // The cache is made again by the next training; runs are not.
  return {
    subject: 'disk',
    state: 'note',
    found: `${found}; the real photos take 2 GiB with their cache`,
    command: 'du -sh runs .cache/trimap',
  };
}

/** Whether the folder is a data set by its lists; `trimap check` reads every file. */
export function checkData(given: string | undefined): Finding {
  const path = given ?? DEFAULT_DATA;
  const subject = 'data';
  if (!existsSync(path)) {
    const command = `npx trimap download --output '${path}'`;
    if (given === undefined) {
      return { subject, state: 'note', found: 'no photos yet; without, train draws a sample', command };
    }
    return { subject, state: 'problem', found: `${path} does not exist`, command, exitCode: 3 };
  }
  const command = `npx trimap check --data-path '${path}'`;
  try {
    const { notes, missing } = openDataset(path, { seed: 42, onBadFile: 'stop' });
    if (missing.length === 0) return { subject, state: 'ok', found: `${path}: ${notes.join('; ')}` };
    const [{ file, reason }] = missing;
    const found = `${missing.length} files are missing: ${file} ${reason}${missing.length > 1 ? ', and others' : ''}`;
    return { subject, state: 'problem', found, command, exitCode: 3 };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { subject, state: 'problem', found: error.message, command, exitCode: 3 };
  }
}
