import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../cli/errors.js';
import { RunFolder } from '../../cli/runFolder.js';
import { startReports } from '../../cli/serve.js';
import { DataError } from '../../data/errors.js';
import { someHistory, someRun } from '../helpers/report.js';

const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
const folder = await someRun(directory, 1);
const reports = await startReports(folder, 0);

const test = suite('cli/serve');
test.after(async () => {
  await reports.close();
  rmSync(directory, { recursive: true, force: true });
});

function ask(path: string, host?: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(new URL(path, reports.url), host ? { headers: { host } } : {}, resolve).on('error', reject);
  });
}

async function textOf(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of message.setEncoding('utf8')) text += part;
  return text;
}

test('the report, and nothing else, to this machine by its own name', async () => {
  const page = await ask('/');
  assert.is(page.statusCode, 200);
  assert.match(page.headers['content-type']!, 'text/html');
  assert.match(await textOf(page), /a&lt;b&gt;-run[^]*class="live"/);
  const { port } = new URL(reports.url);
  assert.is((await ask('/', `localhost:${port}`)).statusCode, 200);
  for (const host of [`elsewhere.example:${port}`, '127.0.0.1', `127.0.0.1.elsewhere.example:${port}`]) {
    assert.is((await ask('/', host)).statusCode, 403, host);
    assert.is((await ask('/events', host)).statusCode, 403, host);
  }
  for (const path of ['/settings.json', '/../settings.json', '/report.html']) {
    assert.is((await ask(path)).statusCode, 404, path);
  }
});

test('listeners are told when the run has come further, and the page then shows it', async () => {
  const events = await ask('/events');
  assert.is(events.headers['content-type'], 'text/event-stream');
  folder.writeHistory(someHistory(2));
  let told = '';
  for await (const part of events.setEncoding('utf8')) {
    told += part;
    if (told.includes('event: changed\ndata:\n\n')) break;
  }
  assert.match(told, 'event: changed');
  assert.match(await textOf(await ask('/')), 'over 2 epochs');
});

test('a port that is taken, and a folder that is no run', async () => {
  const { port } = new URL(reports.url);
  try {
    await startReports(folder, Number(port));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, UsageError);
    assert.match((error as Error).message, `port ${port} is taken; choose another with --port`);
  }
  try {
    await startReports(RunFolder.at(directory), 0);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, DataError);
    assert.match((error as Error).message, 'it has no settings.json');
  }
});

test.run();
