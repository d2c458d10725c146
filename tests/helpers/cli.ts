/** Runs the command line as users do: in a process of its own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

export interface Finished {
  /** Exit code; null when a signal ended the process. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface TrimapOptions {
  /** Once stdout contains it, the process gets the signal. */
  stopAt?: string;
  signal?: NodeJS.Signals;
  /** Milliseconds between the two. */
  delay?: number;
}

export function trimap(
  cwd: string,
  args: readonly string[],
  { stopAt, signal = 'SIGINT', delay = 0 }: TrimapOptions = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let asked = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (asked || stopAt === undefined || !stdout.includes(stopAt)) return;
      asked = true;
      setTimeout(() => child.kill(signal), delay);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
