/** trimap beside other engines: the same works on the same inputs, in turn, each engine in a process of its own. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../data/safetensors.js';
import { DeviceError } from '../engine/device.js';
import { relativeError } from '../engine/isolate.js';
import type { Dtype } from '../engine/layout.js';
import { SettingsError } from '../engine/settings.js';
import { median, type Rounds } from '../engine/timing.js';
import { isChosen } from './kernels.js';
import type { Hello, Mode } from './peers/child.js';
import { EngineProcess } from './peers/processes.js';
import { amountOf, nameOfWork, type PeerSizes, type PeerWork, peerWorks, shapeOfWork } from './peers/works.js';
import { type Row, round3 } from './rows.js';

export interface PeerOptions extends PeerSizes, Rounds {
  adapter?: string;
  /** Only works with this in their name or shape. */
  filter?: string;
  /** Only engines with this in their name, in either case. */
  only?: string;
  /** Puts TensorFlow.js and jax-js into `bench/peers/node_modules` first. */
  install?: boolean;
  /** The interpreter that is asked for PyTorch. */
  python: string;
  /** f16: trimap also with images in f16. */
  precision: Dtype;
}

/** Sources of the engines that are not compiled. */
const folder = fileURLToPath(new URL('../../bench/peers', import.meta.url));

/** More runs without a wait pile up memory. */
const MOST_RUNS = 20;

/** @throws SettingsError when npm fails */
function install(say: (line: string) => void): void {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const list = Object.entries(dependencies).map(([name, version]) => `${name} ${version}`);
  say(`npm installs ${list.join(', ')} and what they need, about 320 MB, into ${join(folder, 'node_modules')}`);
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status, error } = spawnSync(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status !== 0)
    throw new SettingsError(`--install: npm ci failed in ${folder}${error ? `: ${error.message}` : ''}`);
}

type Started = EngineProcess & { hello: Hello };

/** trimap first, then every peer that is there; what is not there is said. */
async function startAll(
  { adapter = '', only = '', python, precision }: PeerOptions,
  say: (line: string) => void,
): Promise<Started[]> {
  const own = fileURLToPath(new URL('./peers/trimap.js', import.meta.url));
  const node = (script: string): Promise<Started> =>
    EngineProcess.start(process.execPath, [script, adapter, precision]);
  const installed = (script: string) => async (): Promise<Started> => {
    if (existsSync(join(folder, 'node_modules'))) return node(join(folder, script));
    throw new Error(`not installed; --install puts it into ${join(folder, 'node_modules')}`);
  };
  const all: Record<string, () => Promise<Started>> = {
    'TensorFlow.js': installed('tfjs.mjs'),
    'jax-js': installed('jax.mjs'),
    PyTorch: () => EngineProcess.start(python, [join(folder, 'pytorch.py')]),
  };
  const peers = Object.entries(all).filter(([name]) => name.toLowerCase().includes(only.toLowerCase()));
  if (peers.length === 0) {
    throw new SettingsError(`--only ${only}: no engine has that in its name; known are ${Object.keys(all).join(', ')}`);
  }
  const trimap = await node(own).catch((error: Error) => {
    throw new DeviceError(error.message);
  });
  const engines = [trimap];
  for (const [name, start] of peers) {
    try {
      engines.push(await start());
    } catch (error) {
      const hint = name === 'PyTorch' ? '; --python names another interpreter' : '';
      say(`${name} is left out: ${(error as Error).message}${hint}`);
    }
  }
  if (engines.length === 1) {
    engines[0].stop();
    throw new SettingsError('no other engine is here to compare with: --install gets two, --python names a third');
  }
  return engines;
}

/** A way of doing a work that is being timed. */
interface Arm {
  engine: Started;
  mode: number;
  error: number;
  wrong: boolean;
  note?: string;
  /** Runs of a round. */
  count: number;
  times: number[];
}

/**
 * Emits a row for each work, engine and mode: rates, `ratio` (how many times as fast trimap's median is), `error`
 * (largest difference to trimap's result, as a part of its largest value), `wrong` where that is more than precision.
 * @throws SettingsError when there is no peer, or the filter leaves nothing
 * @throws DeviceError when trimap finds no adapter
 */
export async function benchPeers(
  options: PeerOptions,
  emit: (row: Row) => void,
  say: (line: string) => void,
): Promise<void> {
  const works = peerWorks(options).filter((work) => isChosen(nameOfWork(work), shapeOfWork(work), options.filter));
  if (works.length === 0) throw new SettingsError(`no work has "${options.filter}" in its name or shape`);
  if (options.install) install(say);
  const engines = await startAll(options, say);
  const directory = mkdtempSync(join(tmpdir(), 'trimap-peers-'));
  try {
    for (const { hello } of engines) say(`${hello.name}: ${hello.adapter}`);
    for (const work of works) {
      const arms = await prepare(engines, work, directory, say);
      await race(arms, options);
      rowsOf(work, arms).forEach(emit);
      for (const engine of engines) await engine.ask({ do: 'forget' });
    }
  } finally {
    engines.forEach((engine) => engine.stop());
    rmSync(directory, { recursive: true, force: true });
  }
}

async function prepare(
  engines: readonly Started[],
  work: PeerWork,
  directory: string,
  say: (line: string) => void,
): Promise<Arm[]> {
  const inputs = join(directory, 'inputs.safetensors');
  const arms: Arm[] = [];
  let reference: Float32Array | undefined;
  for (const [at, engine] of engines.entries()) {
    const { name, modes } = engine.hello;
    for (const [mode, { tolerance, sameJob }] of modes.entries()) {
      try {
        const before = arms.at(-1);
        if (sameJob) {
          if (before?.engine === engine) arms.push({ ...before, mode, times: [] });
          continue;
        }
        // Compiling a step takes some libraries minutes on a software adapter.
        say(`${nameOfWork(work)} ${shapeOfWork(work)}: ${variantOf(name, modes[mode])} prepares`);
        const result = join(directory, `result-${at}.safetensors`);
        const { note } = await engine.ask({ do: 'prepare', mode, work, inputs, result });
        const values = readSafetensors(result).tensors.get('result')!.data as Float32Array;
        reference ??= values;
        const error = values.length === reference.length ? relativeError(values, reference) : NaN;
        arms.push({ engine, mode, error, wrong: !(error <= tolerance), note, count: 1, times: [] });
      } catch (error) {
        const what = `${nameOfWork(work)} ${shapeOfWork(work)}: ${variantOf(name, modes[mode])}`;
        // Without trimap's inputs nobody can work.
        if (!reference) throw new Error(`${what}: ${(error as Error).message}`);
        say(`${what} cannot: ${(error as Error).message}`);
      }
    }
  }
  return arms;
}

const variantOf = (name: string, mode: Mode): string => (mode.name === '' ? name : `${name}, ${mode.name}`);

async function race(arms: readonly Arm[], { rounds, roundMs }: Rounds): Promise<void> {
  const time = async ({ engine, mode, count }: Arm): Promise<number> =>
    (await engine.ask({ do: 'time', mode, count })).ms!;
  for (const arm of arms) arm.count = Math.min(MOST_RUNS, Math.max(1, Math.round(roundMs / (await time(arm)))));
  for (let round = 0; round < rounds; round++) {
    for (const arm of arms) arm.times.push(await time(arm));
  }
}

function rowsOf(work: PeerWork, arms: readonly Arm[]): Row[] {
  const { amount, unit } = amountOf(work);
  const rate = (ms: number): number => round3((1000 * amount) / ms);
  const own = median(arms[0].times);
  return arms.map(({ engine, mode, error, wrong, note, times }, i) => ({
    bench: 'peers',
    work: nameOfWork(work),
    shape: shapeOfWork(work),
    variant: variantOf(engine.hello.name, engine.hello.modes[mode]),
    value: rate(Math.min(...times)),
    unit,
    median: rate(median(times)),
    worst: rate(Math.max(...times)),
    ratio: round3(median(times) / own),
    error: i === 0 ? null : Number(error.toExponential(1)),
    wrong,
    note: [wrong ? 'WRONG VALUES' : '', note ?? ''].filter((text) => text).join('; ') || null,
    adapter: engine.hello.adapter,
  }));
}
