import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Hello, Request } from './child.js';

/** Lines of a child's stderr that are kept for the message when it dies. */
const KEPT_LINES = 5;

/** An engine's process. It does nothing, and takes no processor time, between two requests. */
export class EngineProcess {
  private readonly lines: Interface;
  private readonly answers: AsyncIterator<string>;
  private readonly complaints: string[] = [];

  private constructor(
    private readonly child: ChildProcess,
    private readonly command: string,
  ) {
    this.lines = createInterface({ input: child.stdout! });
    this.answers = this.lines[Symbol.asyncIterator]();
    createInterface({ input: child.stderr! }).on('line', (line) => {
      if (line.trim() === '') return;
      this.complaints.push(line);
      if (this.complaints.length > KEPT_LINES) this.complaints.shift();
    });
  }

  /** @throws Error when it cannot be started or has not what it needs */
  static async start(command: string, args: readonly string[]): Promise<EngineProcess & { hello: Hello }> {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    // A child that died cannot take the request; its answer says so.
    child.stdin.on('error', () => {});
    const engine = new EngineProcess(child, command);
    const hello = (await Promise.race([engine.answer(), failed])) as unknown as Hello;
    return Object.assign(engine, { hello });
  }

  /** @throws Error with the engine's own message */
  async ask(request: Request): Promise<{ ms?: number; note?: string }> {
    this.child.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }

  private async answer(): Promise<{ ms?: number; note?: string }> {
    for (;;) {
      const { value, done } = await this.answers.next();
      if (done) throw new Error(`${this.command} has ended: ${this.complaints.at(-1) ?? 'without a word'}`);
      // Drivers print on stdout, too.
      if (!value.startsWith('{')) continue;
      const { error, ...answer } = JSON.parse(value) as { error?: string; ms?: number; note?: string };
      if (error !== undefined) throw new Error(error);
      return answer;
    }
  }

  stop(): void {
    this.child.stdin!.end();
    this.lines.close();
    this.child.kill();
  }
}
