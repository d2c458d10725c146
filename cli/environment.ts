/** Where and with what a run was made: what `environment.json` says. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Device } from '../engine/device.js';
import { versions } from './info.js';

/** One process that worked on a run. Times are ISO 8601, UTC. */
export interface Session {
  started: string;
  /** Name, kind and kernels of the WebGPU adapter. */
  adapter: string;
  /** As the adapter describes itself, with its version where it says one. */
  driver: string;
  processor: string;
  /** Bytes. */
  memory: number;
  versions: Record<string, string>;
  /** Of the project, with `+` behind it when files differ from it; null where it is no git checkout. */
  gitCommit: string | null;
  /** The arguments of the command line. */
  command: string[];
}

export interface Environment extends Session {
  /** When the run was finished; null until then. */
  ended: string | null;
  /** The processes that went on with the run. */
  resumed: Session[];
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export function describeSession(device: Device): Session {
  const { vendor, architecture, device: name, description } = device.adapter.info;
  return {
    started: new Date().toISOString(),
    adapter: device.description,
    driver: [vendor, architecture, name, description].filter((part) => part).join(' '),
    processor: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    memory: totalmem(),
    versions: versions(),
    gitCommit: gitCommit(),
    command: process.argv.slice(2),
  };
}

function gitCommit(): string | null {
  // A checkout of something else around the project says nothing about it.
  if (!existsSync(`${ROOT}.git`)) return null;
  const git = (...args: string[]) => spawnSync('git', ['-C', ROOT, ...args], { encoding: 'utf8' });
  const commit = git('rev-parse', 'HEAD');
  if (commit.status !== 0) return null;
  const changes = git('status', '--porcelain', '--untracked-files=no');
  return `${commit.stdout.trim()}${changes.stdout.trim() === '' ? '' : '+'}`;
}
