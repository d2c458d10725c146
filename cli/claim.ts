/** Which process works on a run: `running.json` in its folder, so that no two do, and so that others can tell. */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isRunning } from '../data/files.js';
import { UsageError } from './errors.js';

/** After this long without a sign of life a process of another machine counts as ended. */
const SILENT_MS = 15 * 60_000;

interface Owner {
  pid: number;
  host: string;
  /** What tells the process from a later one of the same number; null where the system does not say. */
  birth: string | null;
}

const claimPath = (run: string): string => join(run, 'running.json');

/** When the system started the process, in ticks since its own start; Linux only. */
function birthOf(pid: number): string | null {
  try {
    // The second field is the program's name in parentheses, which may hold anything; the 22nd is the time.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19];
  } catch {
    return null;
  }
}

/** The process that works on a run; undefined when none does. */
export function ownerOf(run: string): Owner | undefined {
  const path = claimPath(run);
  let owner: Owner;
  let touched: number;
  try {
    owner = JSON.parse(readFileSync(path, 'utf8')) as Owner;
    touched = statSync(path).mtimeMs;
  } catch {
    // Not there, or cut off by a power cut: nobody's.
    return undefined;
  }
  const alive =
    owner.host === hostname()
      ? isRunning(owner.pid) && birthOf(owner.pid) === owner.birth
      : Date.now() - touched < SILENT_MS;
  return alive ? owner : undefined;
}

export type RunState = 'finished' | 'running' | 'interrupted';

/** @param ended when the run was finished, as its environment says */
export function stateOf(run: string, ended: string | null | undefined): RunState {
  if (ended) return 'finished';
  return ownerOf(run) ? 'running' : 'interrupted';
}

export class Claim {
  private released = false;

  private constructor(private readonly path: string) {}

  /** @throws UsageError when another process works on the run */
  static take(run: string): Claim {
    const path = claimPath(run);
    const owner = ownerOf(run);
    if (owner) {
      throw new UsageError(
        `${run} is in the hands of process ${owner.pid} on ${owner.host}; wait for it or stop it first ` +
          `(or remove ${path} if there is no such process)`,
      );
    }
    rmSync(path, { force: true });
    const claim = new Claim(path);
    claim.write('wx');
    return claim;
  }

  /** A sign of life. */
  renew(): void {
    this.write('w');
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    rmSync(this.path, { force: true });
  }

  private write(flag: string): void {
    const owner: Owner = { pid: process.pid, host: hostname(), birth: birthOf(process.pid) };
    writeFileSync(this.path, JSON.stringify(owner), { flag });
  }
}
