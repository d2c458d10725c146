/**
 * Set-up: everything between a fresh clone and a run, done once and skipped when already done.
 *
 * Steps: the Node version, the npm packages, the build, and (Linux only) a WebGPU adapter, which on a machine without a
 * GPU is Mesa's software driver. Each step says in one line on stderr what it does; nothing to do prints nothing.
 * Plain JavaScript without dependencies, since it runs before anything is installed.
 *
 * Exit codes: 0 ready, 1 a step failed (its whole output is shown), 4 no WebGPU adapter (what to do is shown).
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { mesaPlan, parseListFile, parseOsRelease, parseSourcesFile } from './mesa.mjs';

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const DIST = path.join(ROOT, 'dist');
const STAMP = path.join(DIST, '.setup.json');
const LOCK = path.join(DIST, '.setup.lock');
const NODE_MINIMUM = [20, 19];
const EXIT_NO_ADAPTER = 4;

/** A step that failed in an expected way: the message is for the user, and no stack trace goes with it. */
class SetupError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Makes the checkout ready to run.
 * @returns {number} exit code (see the top of the file); whatever is wrong has been printed
 */
export function setup() {
  try {
    checkNode();
    if (!isReady()) withLock(runSteps);
    return 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    return error.exitCode;
  }
}

function isReady() {
  return packagesAreInstalled() && buildIsFresh() && adapterIsKnown();
}

/** All steps, each looked at again: another process may have done them while this one waited for the lock. */
function runSteps() {
  if (!packagesAreInstalled()) installPackages();
  if (!buildIsFresh()) build();
  if (!adapterIsKnown()) ensureAdapter();
}

function say(text) {
  console.error(`set-up: ${text}`);
}

// ---------------------------------------------------------------------------------------------------------------- Node

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [needMajor, needMinor] = NODE_MINIMUM;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  throw new SetupError(
    `trimap needs Node ${NODE_MINIMUM.join('.')} or newer; ${process.execPath} is ${process.versions.node}.\n` +
      'Install a current Node and run the same command again.',
  );
}

// ------------------------------------------------------------------------------------------------------------ packages

/** Which C library a package for Linux has to be built for; undefined elsewhere, where none says. */
const LIBC =
  process.platform !== 'linux' ? undefined : process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes its own record of the installed tree at the
 * end of an installation, so an interrupted one shows; versions are compared rather than times, because a git checkout
 * gives every file a new time.
 */
function packagesAreInstalled() {
  const installed = readJson(path.join(ROOT, 'node_modules', '.package-lock.json'))?.packages;
  if (!installed) return false;
  const wanted = readJson(path.join(ROOT, 'package-lock.json'))?.packages;
  if (!wanted) throw new SetupError(`package-lock.json in ${ROOT} is missing or damaged: restore it from git.`);
  return Object.entries(wanted).every(([location, entry]) => {
    const isForThisSystem =
      (entry.os ?? [process.platform]).includes(process.platform) &&
      (entry.cpu ?? [process.arch]).includes(process.arch) &&
      (entry.libc ?? [LIBC]).includes(LIBC);
    if (location === '' || !isForThisSystem) return true;
    return installed[location]?.version === entry.version && fs.existsSync(path.join(ROOT, location, 'package.json'));
  });
}

function installPackages() {
  say('installing the npm packages (npm ci, about a minute) ...');
  // The build needs the type declarations, which npm leaves out where NODE_ENV is "production".
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  // npm is a .cmd file on Windows, which only a shell can start; the command line is constant.
  const result = process.platform === 'win32' ? run(`npm ${args.join(' ')}`, [], { shell: true }) : run('npm', args);
  if (result.status !== 0) {
    throw new SetupError(
      `${outputOf(result)}\nset-up: npm ci failed in ${ROOT} (its output is above). ` +
        'It needs npm and the network the first time; run the same command again when that is in order.',
    );
  }
}

// --------------------------------------------------------------------------------------------------------------- build

/** The source folders, as tsconfig.json lists them, and the TypeScript files below them, relative to the root. */
function listSources() {
  const folders = readJson(path.join(ROOT, 'tsconfig.json'))?.include;
  if (!folders) throw new SetupError(`tsconfig.json in ${ROOT} is missing or damaged: restore it from git.`);
  const files = folders.flatMap((folder) => walk(ROOT, folder, '.ts'));
  return { folders, files: files.filter((file) => !file.endsWith('.d.ts')) };
}

const outputOfSource = (file) => path.join(DIST, file.replace(/\.ts$/, '.js'));

/** Identifies the state of everything the build reads, by size and time of modification. */
function buildKey(files) {
  const inputs = [...files, 'package.json', 'package-lock.json', 'tsconfig.json'];
  return digest(
    inputs.map((file) => {
      const { mtimeMs, size } = fs.statSync(path.join(ROOT, file));
      return [file, mtimeMs, size];
    }),
  );
}

function buildIsFresh() {
  const { files } = listSources();
  return readJson(STAMP)?.build === buildKey(files) && files.every((file) => fs.existsSync(outputOfSource(file)));
}

function build() {
  say('building (tsc) ...');
  const { folders, files } = listSources();
  // Taken before the compiler reads the files, so that an edit made meanwhile leads to another build.
  const key = buildKey(files);
  // A build that fails leaves outputs that belong to no recorded state.
  writeStamp({ build: undefined });

  // Outputs whose source is gone would still be imported, and removed tests would still run.
  const sources = new Set(files.map(outputOfSource));
  for (const output of folders.flatMap((folder) => walk(DIST, folder, '.js'))) {
    const file = path.join(DIST, output);
    if (!sources.has(file)) fs.rmSync(file);
  }
  // The compiler trusts its record and would not write again an output that was removed by hand.
  if (!files.every((file) => fs.existsSync(outputOfSource(file)))) {
    fs.rmSync(path.join(DIST, '.tsbuildinfo'), { force: true });
  }

  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const result = run(process.execPath, [tsc, '-p', '.']);
  if (result.status !== 0) {
    throw new SetupError(`${outputOf(result)}\nset-up: the build failed (the compiler's messages are above).`);
  }
  writeStamp({ build: key });
}

// ------------------------------------------------------------------------------------------------------------- adapter

/** Run in a child process, because a faulty driver may take the whole process with it. */
const PROBE = `
import { create } from 'webgpu';
const gpu = create([]);
const adapter = await gpu.requestAdapter().catch((error) => console.error(error.message));
process.stdout.write(adapter ? 'found' : 'none');
process.exit(0);
`;

/** Variables of the Vulkan loader that decide which drivers it sees. */
const DRIVER_VARIABLES = [
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  'VK_LOADER_DRIVERS_SELECT',
  'VK_LOADER_DRIVERS_DISABLE',
];

/** Whether an adapter was found before with the same WebGPU package, boot and drivers; looking takes half a second. */
function adapterIsKnown() {
  return process.platform !== 'linux' || readJson(STAMP)?.adapter === adapterKey();
}

function adapterKey() {
  const folders = ['/etc', '/usr/share', '/usr/local/share', path.join(os.homedir(), '.local/share')];
  return digest([
    readJson(path.join(ROOT, 'node_modules', 'webgpu', 'package.json'))?.version,
    readText('/proc/sys/kernel/random/boot_id'),
    DRIVER_VARIABLES.map((name) => process.env[name]),
    folders.map((folder) => {
      const drivers = path.join(folder, 'vulkan/icd.d');
      if (!fs.existsSync(drivers)) return [];
      return fs.readdirSync(drivers).map((name) => {
        const file = fs.statSync(path.join(drivers, name), { throwIfNoEntry: false });
        return [drivers, name, file?.mtimeMs];
      });
    }),
  ]);
}

function ensureAdapter() {
  say('looking for a WebGPU adapter ...');
  let messages = probeAdapter();
  if (messages === undefined) return;

  const restricting = DRIVER_VARIABLES.filter((name) => process.env[name]);
  if (restricting.length > 0) {
    throw noAdapter(messages, [
      'The Vulkan loader is told which drivers to use, and none of them gives an adapter:',
      ...restricting.map((name) => `  ${name}=${process.env[name]}`),
      'Unset this, or name a driver that works.',
    ]);
  }

  const plan = mesaPlan(parseOsRelease(readText('/etc/os-release') ?? ''), readAptSources());
  const asRoot = plan.apt && rootPrefix();
  if (!asRoot) throw noAdapter(messages, plan.advice);

  installThroughApt(plan, asRoot);
  say('looking for a WebGPU adapter again ...');
  messages = probeAdapter();
  if (messages !== undefined) {
    throw noAdapter(messages, [
      'Mesa is installed, and yet no adapter opens: `vulkaninfo --summary` (package vulkan-tools) shows what the',
      'driver says.',
    ]);
  }
}

/**
 * Opens an adapter as the engine does.
 * @returns {string | undefined} undefined when there is one (it is remembered), otherwise what Dawn said
 * @throws {SetupError} when the search itself failed, which no package can mend
 */
function probeAdapter() {
  const result = run(process.execPath, ['--input-type=module', '--eval', PROBE], { timeout: 60_000 });
  if (result.stdout === 'found') {
    writeStamp({ adapter: adapterKey() });
    return undefined;
  }
  if (result.stdout === 'none') return result.stderr;
  const how = result.error?.code === 'ETIMEDOUT' ? 'did not answer within a minute' : `died (${endOf(result)})`;
  throw noAdapter(outputOf(result), [
    `The process that opened WebGPU ${how}. Either the webgpu package does not run on this system (it needs glibc, on`,
    'x64 or arm64), or a graphics driver is faulty: name a sound one in VK_DRIVER_FILES, for example',
    "  export VK_DRIVER_FILES=$(echo /usr/share/vulkan/icd.d/lvp_icd*.json)    # Mesa's software driver",
  ]);
}

function noAdapter(messages, advice) {
  const said = messages
    .trim()
    .split('\n')
    .map((line) => `  ${line}`);
  const lines = ['set-up: no WebGPU adapter was found on this machine. WebGPU said:', ...said, '', ...advice];
  return new SetupError([...lines, '', 'Then run the same command again.'].join('\n'), EXIT_NO_ADAPTER);
}

// ----------------------------------------------------------------------------------------------------------------- apt

function readAptSources() {
  const folder = '/etc/apt/sources.list.d';
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  return ['/etc/apt/sources.list', ...names.map((name) => path.join(folder, name))].flatMap((file) => {
    if (file.endsWith('.sources')) return parseSourcesFile(readText(file) ?? '');
    return file.endsWith('.list') ? parseListFile(readText(file) ?? '') : [];
  });
}

/** The words to put before a command so that it runs as root; undefined where that needs a password. */
function rootPrefix() {
  if (process.getuid() === 0) return [];
  return run('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n'] : undefined;
}

/**
 * Installs a plan's packages. Extra sources are put beside copies of the machine's own in a temporary folder, which apt
 * reads instead for these two commands: the machine's configuration stays as it was.
 */
function installThroughApt(plan, asRoot) {
  const { files, install } = plan.apt;
  say(`installing Mesa's software driver (apt-get install ${install.join(' ')}, a minute or two) ...`);
  const parts = fs.mkdtempSync(path.join(os.tmpdir(), 'trimap-apt-'));
  try {
    const own = '/etc/apt/sources.list.d';
    for (const name of fs.existsSync(own) ? fs.readdirSync(own) : []) {
      if (/\.(list|sources)$/.test(name)) fs.copyFileSync(path.join(own, name), path.join(parts, name));
    }
    for (const { name, text } of files) fs.writeFileSync(path.join(parts, `trimap-${name}`), text);

    const options = ['-o', `Dir::Etc::sourceparts=${parts}`, '-o', 'DPkg::Lock::Timeout=300'];
    const apt = (...args) => {
      const [command, ...rest] = [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...options, ...args];
      return runPatiently(command, rest);
    };
    // One of the machine's other sources may be out of order without standing in the way, so the update's exit status
    // alone decides nothing; its output is shown if the installation then fails.
    const update = apt('update');
    const result = apt('install', '--yes', '--no-install-recommends', ...install);
    if (result.status !== 0) {
      const lines = [outputOf(update), outputOf(result), '', 'set-up: apt-get failed (its output is above). By hand:'];
      throw new SetupError([...lines, ...plan.advice].join('\n'), EXIT_NO_ADAPTER);
    }
  } finally {
    fs.rmSync(parts, { recursive: true, force: true });
  }
}

/** Runs apt-get; waits up to five minutes for another one, whose lock on the lists has no time-out of its own. */
function runPatiently(command, args) {
  const deadline = Date.now() + 300_000;
  for (;;) {
    const result = run(command, args);
    const isLocked = result.status !== 0 && /Could not get lock|Unable to (acquire|lock)/.test(result.stderr);
    if (!isLocked || Date.now() > deadline) return result;
    sleep(5000);
  }
}

// ---------------------------------------------------------------------------------------------------------------- lock

const LOCK_STALE_MS = 20 * 60_000;

/** Runs `action` while no other process of this checkout does: two `npm ci` at once would destroy each other's work. */
function withLock(action) {
  fs.mkdirSync(DIST, { recursive: true });
  let hasSaid = false;
  while (!takeLock()) {
    if (!hasSaid) say(`waiting for another set-up in this folder (remove ${LOCK} if there is none) ...`);
    hasSaid = true;
    sleep(200);
  }
  try {
    action();
  } finally {
    fs.rmSync(LOCK, { recursive: true, force: true });
  }
}

/** Takes the lock directory, after removing one whose owner has died (or is of another container and very old). */
function takeLock() {
  try {
    fs.mkdirSync(LOCK);
    fs.writeFileSync(path.join(LOCK, 'pid'), String(process.pid));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const age = Date.now() - (fs.statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
  const pid = Number(readText(path.join(LOCK, 'pid')) || NaN);
  // Between the two calls above the directory has no pid yet; after a few seconds its owner died right there.
  const ownerIsGone = Number.isNaN(pid) ? age > 10_000 : !isAlive(pid);
  if (ownerIsGone || age > LOCK_STALE_MS) fs.rmSync(LOCK, { recursive: true, force: true });
  return false;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM'; // alive, but another user's
  }
}

// ------------------------------------------------------------------------------------------------------------- helpers

/** Runs a command in the checkout to its end, without the terminal; its output is kept, to be shown if it fails. */
function run(command, args, options = {}) {
  const common = { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 2 ** 20 };
  return spawnSync(command, args, { ...common, ...options });
}

function outputOf(result) {
  return [result.error?.message, result.stdout, result.stderr]
    .filter((text) => text)
    .join('\n')
    .trim();
}

function endOf(result) {
  return result.signal ? `signal ${result.signal}` : `exit status ${result.status}`;
}

/** Files below `folder` (relative to `base`, as are the results) whose names end in `extension`, sorted. */
function walk(base, folder, extension) {
  const absolute = path.join(base, folder);
  if (!fs.existsSync(absolute)) return [];
  return fs
    .readdirSync(absolute, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) return walk(base, file, extension);
      return entry.name.endsWith(extension) ? [file] : [];
    });
}

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The parsed file; undefined where it is absent or was cut off. */
function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function writeStamp(entries) {
  fs.writeFileSync(STAMP, JSON.stringify({ ...readJson(STAMP), ...entries }));
}

function digest(value) {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** Blocks: everything here is synchronous, there is nothing else to do meanwhile. */
function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

const script = process.argv[1] ?? '';
if (fs.existsSync(script) && fs.realpathSync(script) === fileURLToPath(import.meta.url)) {
  process.exitCode = setup();
}
