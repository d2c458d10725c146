/** `trimap serve`: the report of a run on this machine's own address, up to date while the run goes on. */
import { statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type RunState, stateOf } from './claim.js';
import type { Environment } from './environment.js';
import { UsageError } from './errors.js';
import { readRun, reportPage } from './report/runReport.js';
import { RunFolder } from './runFolder.js';

/** Nobody but this machine gets in. */
const ADDRESS = '127.0.0.1';
const POLL_MS = 1000;
/** Something passes at least as often, so that a connection that has gone is noticed. */
const HEARTBEAT_MS = 15_000;

export interface ServeFlags {
  /** Folder of the run. */
  run: string;
  /** 0: any that is free. */
  port?: number;
}

/** Serves until Ctrl-C or SIGTERM, which is the way to end it; the exit code. */
export async function serve({ run, port = 8765 }: ServeFlags): Promise<number> {
  const reports = await startReports(RunFolder.at(run), port);
  console.log(`${run} is at ${reports.url} and follows the run; Ctrl-C ends this, not the run`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  await reports.close();
  return 0;
}

export interface Reports {
  url: string;
  /** Ends all connections. */
  close(): Promise<void>;
}

/**
 * Starts to serve.
 * @throws DataError when `folder` is no run's
 * @throws UsageError when the port cannot be had
 */
export async function startReports(folder: RunFolder, port: number): Promise<Reports> {
  const reports = new ReportServer(folder);
  // A folder that is no run's should be known before anybody looks.
  reports.page();
  await listen(reports.server, port);
  const { port: own } = reports.server.address() as AddressInfo;
  reports.start(own);
  return { url: `http://${ADDRESS}:${own}/`, close: () => reports.close() };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'EADDRINUSE' ? 'is taken' : error.code === 'EACCES' ? 'needs more rights' : error.message;
      reject(new UsageError(`port ${port} ${reason}; choose another with --port, or --port 0 for any that is free`));
    });
    server.listen(port, ADDRESS, resolve);
  });
}

class ReportServer {
  readonly server = createServer((request, response) => this.answer(request, response));
  private readonly listeners = new Set<ServerResponse>();
  private hosts: readonly string[] = [];
  private made?: { of: string; text: string };
  private timer?: NodeJS.Timeout;
  private seen = '';
  private lastWord = 0;

  constructor(private readonly folder: RunFolder) {}

  start(port: number): void {
    this.hosts = [ADDRESS, 'localhost'].map((name) => `${name}:${port}`);
    this.seen = this.stamp();
    this.timer = setInterval(() => this.look(), POLL_MS);
  }

  close(): Promise<void> {
    clearInterval(this.timer);
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }

  /** The page, made again when the folder has changed. */
  page(): string {
    const of = this.stamp();
    if (this.made?.of !== of) this.made = { of, text: reportPage(readRun(this.folder, this.state), true) };
    return this.made.text;
  }

  private get state(): RunState {
    return stateOf(this.folder.path, this.folder.readJson<Environment>('environment')?.ended);
  }

  /** Changes with everything that the page shows. The run writes its own report after the pictures, so that is watched. */
  private stamp(): string {
    const files = (['history', 'environment', 'report'] as const).map((name) => {
      const stat = statSync(this.folder.file(name), { throwIfNoEntry: false });
      return stat ? `${stat.mtimeMs} ${stat.size}` : 'none';
    });
    return [...files, this.state].join();
  }

  private look(): void {
    if (this.listeners.size === 0) return;
    const now = this.stamp();
    if (now !== this.seen) this.tell('event: changed\ndata:\n\n');
    else if (performance.now() - this.lastWord > HEARTBEAT_MS) this.tell(':\n\n');
    this.seen = now;
  }

  private tell(text: string): void {
    this.lastWord = performance.now();
    for (const listener of this.listeners) listener.write(text);
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const send = (status: number, type: string, text: string) => {
      response.writeHead(status, {
        'content-type': `${type}; charset=utf-8`,
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    // Another site's name may be made to lead here; a browser then sends that name, and gets nothing.
    if (!this.hosts.includes(request.headers.host ?? '')) {
      return send(403, 'text/plain', `This is served as http://${this.hosts[0]}/ only.\n`);
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, 'text/plain', 'GET only.\n');
    const path = (request.url ?? '/').split('?')[0];
    if (path === '/events') return this.listenTo(request, response);
    if (path !== '/') return send(404, 'text/plain', 'There is only the report, at /.\n');
    let text: string;
    try {
      text = this.page();
    } catch (error) {
      return send(500, 'text/plain', `The report cannot be made: ${(error as Error).message}\n`);
    }
    send(200, 'text/html', text);
  }

  private listenTo(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(':\n\n');
    this.listeners.add(response);
    request.on('close', () => this.listeners.delete(response));
  }
}
