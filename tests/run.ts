/**
 * Runs the tests: every file below tests/ but helpers/ and this one, in turn, in one process (they share one device).
 *
 *     npm test                 all of them; their number must be the one in tests/expected.json
 *     npm test -- conv norm    the files whose path contains one of the words; the number is not checked
 *
 * Files below tests/long/ take many minutes and run only when a word begins with `long/` (`npm run test:recipes`).
 *
 * Runs uvu's suites itself instead of through `uvu/run`, because uvu counts as success what is none: a file that
 * registers no suite, a hook that throws, a test that never settles. The totals also go to dist/test-result.json.
 */

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

/** What uvu queues at `test.run()`. Resolves to [errors as text or true, passed, skipped, total]. */
type Suite = () => Promise<[string | true, number, number, number]>;

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** Part of uvu's runner interface: with UVU_DEFER set, `test.run()` puts its suite into UVU_QUEUE[UVU_INDEX]. */
const uvu = globalThis as unknown as { UVU_DEFER: number; UVU_QUEUE: Suite[][]; UVU_INDEX: number };

const HERE = new URL('./', import.meta.url);
const RESULT = new URL('../test-result.json', import.meta.url);
const EXPECTED = new URL('../../tests/expected.json', import.meta.url);
const EXIT_GRACE_MS = 20_000;

const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
/** The file whose tests run, for failures that come from outside any test; undefined before and after. */
let currentFile: string | undefined;

/** Counts a failure that no suite counts, and says which. */
function fail(message: string): void {
  totals.failed++;
  console.error(`  FAIL  ${message}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The sources of the compiled test files, relative to tests/, with forward slashes, sorted. */
function listTestFiles(): string[] {
  return readdirSync(HERE, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.js') && file !== 'run.js' && !file.startsWith('helpers/'))
    .map((file) => file.replace(/\.js$/, '.ts'))
    .sort();
}

/** Imports one file and runs its suites. */
async function runFile(file: string, takeSkipCount: () => number): Promise<void> {
  const suites: Suite[] = [];
  uvu.UVU_INDEX = uvu.UVU_QUEUE.push(suites) - 1;
  try {
    await import(new URL(file.replace(/\.ts$/, '.js'), HERE).href);
  } catch (error) {
    fail(`${file} could not be loaded: ${describe(error)}`);
    return;
  }
  if (suites.length === 0) {
    fail(`${file} registers no suite: end it with test.run(), or move it to tests/helpers/ if others import it`);
  }
  for (const suite of suites) await runSuite(file, suite, takeSkipCount);
}

async function runSuite(file: string, suite: Suite, takeSkipCount: () => number): Promise<void> {
  let result;
  try {
    result = await suite();
  } catch (error) {
    // Only an `after` hook comes here; what the suite's tests gave is lost with it.
    takeSkipCount();
    fail(`${file}: an after hook threw: ${describe(error)}`);
    return;
  }
  const [errors, passed, skippedByUvu, total] = result;
  totals.failed += total - passed;
  if (errors !== true) console.log(`\n${errors}`);
  else if (passed < total) console.error(`  FAIL  ${file}: ${total - passed} of ${total} did not run: a hook threw`);
  if (skippedByUvu > 0) console.log(`  ${skippedByUvu} left out by test.skip or test.only, which give no reason`);
  if (total + skippedByUvu === 0) fail(`${file}: a suite has no tests`);

  const skipped = takeSkipCount();
  totals.passed += passed - skipped;
  totals.skipped += skipped + skippedByUvu;
}

/** Compares the number of tests with the one that tests/expected.json asserts. */
function checkCount(): void {
  const expected = (JSON.parse(readFileSync(EXPECTED, 'utf8')) as { tests: number }).tests;
  const count = totals.passed + totals.failed + totals.skipped;
  if (count === expected) return;
  console.error(
    `${count} tests ran but tests/expected.json says ${expected}. If tests were added or removed on purpose, ` +
      `write {"tests": ${count}} there; otherwise some are missing or run twice.`,
  );
  process.exitCode = 1;
}

/** Ends the device that the tests shared, so that the process can exit by itself. */
async function closeDevice(): Promise<void> {
  const helper = new URL('helpers/device.js', HERE);
  if (!existsSync(helper)) return;
  const { closeDevice } = (await import(helper.href)) as { closeDevice(): Promise<void> };
  await closeDevice();
}

function outside(kind: string): (error: unknown) => void {
  return (error) => {
    fail(`${kind} during ${currentFile ?? 'the end of the run'}: ${describe(error)}`);
    process.exitCode = 1;
  };
}

process.on('unhandledRejection', outside('unhandled rejection'));
process.on('uncaughtException', outside('uncaught exception'));
process.on('exit', () => {
  if (currentFile === undefined) return;
  console.error(`\nThe process ended in the middle of ${currentFile}: a test never settles, or something exits.`);
  process.exitCode = 1;
});

rmSync(RESULT, { force: true });
uvu.UVU_DEFER = 1;
uvu.UVU_QUEUE = [];
const { takeSkipCount } = await import('./helpers/skip.js');

const patterns = process.argv.slice(2);
const all = listTestFiles();
const isLong = (text: string): boolean => text.startsWith('long/');
const files = all.filter((file) =>
  patterns.length === 0 ? !isLong(file) : patterns.some((word) => file.includes(word) && isLong(word) === isLong(file)),
);
if (files.length === 0) fail(`no test file's path contains ${patterns.join(' or ')}`);

const started = performance.now();
for (const file of files) {
  currentFile = file;
  const fileStarted = performance.now();
  console.log(file);
  await runFile(file, takeSkipCount);
  console.log(`  ${((performance.now() - fileStarted) / 1000).toFixed(1)} s`);
}
currentFile = undefined;
await closeDevice();

const { passed, failed, skipped } = totals;
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(`\n${files.length} files, ${seconds} s: ${passed} passed, ${failed} failed, ${skipped} skipped`);
if (failed > 0) process.exitCode = 1;
if (patterns.length === 0) checkCount();
else console.log('A choice of files: the number of tests was not checked.');
writeFileSync(RESULT, JSON.stringify({ passed, failed, skipped }) + '\n');

// Does not keep the process alive; comes due only if something else does.
setTimeout(() => {
  const kinds = process.getActiveResourcesInfo().join(', ');
  console.error(`The tests are done, but the process does not exit by itself. Still active: ${kinds}.`);
  process.exit(1);
}, EXIT_GRACE_MS).unref();
