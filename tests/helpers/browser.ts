/** A real browser for the tests of pages: Chromium as the machine has it, driven by playwright-core. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import * as assert from 'uvu/assert';
import { skip } from './skip.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** What to say where there is none. */
export const NO_BROWSER = `no ${NAMES.join(', ')} on the PATH (Debian and Ubuntu: apt-get install chromium)`;

/** The browser's program; undefined where the PATH has none. */
export function findBrowser(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Without a sandbox, which root cannot have, and without anything that would ask the network. */
export function openBrowser(executablePath: string): Promise<Browser> {
  const quiet = ['quic', 'background-networking', 'component-update', 'sync'].map((name) => `--disable-${name}`);
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', ...quiet];
  return chromium.launch({ executablePath, args, timeout: 120_000 });
}

/**
 * Runs `body` with a page open; whatever the page complains of fails, and so does what a file asks the network for. Skips
 * the test where there is no browser.
 */
export async function visit(
  url: string,
  settings: Parameters<Browser['newPage']>[0],
  body: (page: Page) => Promise<void>,
): Promise<void> {
  const program = findBrowser();
  if (!program) return skip(NO_BROWSER);
  const browser = await openBrowser(program);
  try {
    const page = await browser.newPage(settings);
    page.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => {
      if (url.startsWith('file:') && !/^(file|data):/.test(request.url())) complaints.push(`asks for ${request.url()}`);
    });
    await page.goto(url);
    await body(page);
    assert.equal(complaints, []);
  } finally {
    await browser.close();
  }
}
