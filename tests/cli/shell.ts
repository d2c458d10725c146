// Every command: its help, its exit codes, and what the shell completes.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commands, wordOf } from '../../cli/commands/all.js';
import { execute } from '../../cli/commandLine.js';
import { completionLines, completions } from '../../cli/commands/completions.js';
import type { Command } from '../../cli/commands/define.js';
import { drawSample } from '../../data/sample.js';
import { type Finished, trimap } from '../helpers/cli.js';
import { inDirectory, root } from '../helpers/data.js';
import { skip } from '../helpers/skip.js';

const test = suite('cli/shell');

/** Every command by its words. */
const all = new Map<string, Command>(
  commands.flatMap((entry) =>
    'commands' in entry
      ? entry.commands.map((one): [string, Command] => [`${entry.name} ${wordOf(one)}`, one])
      : [[wordOf(entry), entry]],
  ),
);

/** Runs a command line in this process, which is many times faster than in one of its own, in a folder. */
async function here(directory: string, words: readonly string[]): Promise<Finished> {
  const written = { stdout: '', stderr: '' };
  const own = process.cwd();
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const { write } = process[name];
    process[name].write = (text: string | Uint8Array) => {
      written[name] += String(text);
      return true;
    };
    return () => (process[name].write = write);
  });
  process.chdir(directory);
  try {
    return { code: await execute(words), ...written };
  } finally {
    process.chdir(own);
    for (const undo of restore) undo();
  }
}

test('every command has help with its flags, an example and the exit codes', async () => {
  for (const [words, { flags, example }] of all) {
    const { code, stdout, stderr } = await here(tmpdir(), [...words.split(' '), '--help']);
    assert.equal([code, stderr], [0, ''], words);
    for (const flag of Object.keys(flags)) assert.ok(stdout.includes(`--${flag}`), `${words}: --${flag}`);
    assert.ok(example[0] === words || example[0].startsWith(`${words} `), `${words}: its example is of it`);
    assert.ok(stdout.includes(`  trimap ${example[0]}\n`), `${words}: ${stdout}`);
    assert.match(stdout.replace(/\s+/g, ' '), /Exit codes: 0 done, 1 .*, 2 .*, 3 .*, 4 .*, 130 interrupted/);
  }
});

const none = ['--adapter', 'no such adapter'];
const nowhere = ['--data-path', 'nowhere'];
const foreign = ['--model', 'foreign.safetensors'];

/** What ends each command with which exit code; 1 and 130 are in the tests of the commands that have them. */
const failures: Record<string, readonly (readonly [code: number, ...words: string[]])[]> = {
  train: [
    [2, '--size', '7'],
    [3, ...nowhere],
    [4, ...none],
  ],
  resume: [[2], [3, 'runs/none']],
  runs: [
    [2, '--nonsense'],
    [3, 'nowhere'],
  ],
  compare: [
    [2, 'a'],
    [3, 'nowhere', 'nowhere-2'],
  ],
  serve: [[3, 'nowhere']],
  evaluate: [[2], [3, ...foreign]],
  predict: [[2], [2, 'x.jpg'], [3, 'nowhere.jpg', ...foreign]],
  augment: [
    [2, '--recipe', 'report9'],
    [3, ...nowhere],
    [4, '--data-path', 'pets', ...none],
  ],
  stats: [[2], [3, ...nowhere]],
  check: [[2], [3, ...nowhere]],
  download: [[2, '--url', 'pets']],
  doctor: [
    [2, '--nonsense'],
    [3, ...nowhere],
    [4, ...none],
  ],
  info: [
    [2, '--size', '64'],
    [4, ...none],
  ],
  verify: [
    [2, '--nonsense'],
    [4, ...none],
  ],
  'bench kernels': [
    [2, '--rounds', '0'],
    [4, ...none],
  ],
  'bench step': [
    [2, '--base-width', '3'],
    [4, ...none],
  ],
  'bench peers': [
    [2, '--only', 'jaks'],
    [4, ...none],
  ],
  'bench data': [
    [2, '--compare', 'nowhere.json'],
    [4, ...none],
  ],
};

test('exit codes: 2 for the command line, 3 for the data, 4 for the device', () =>
  inDirectory(async (directory) => {
    await drawSample(join(directory, 'pets'), { count: 10, minSize: 24, maxSize: 40, seed: 3 });
    assert.equal(Object.keys(failures).sort(), [...all.keys()].sort(), 'a row for every command');
    for (const [words, rows] of Object.entries(failures)) {
      for (const [expected, ...rest] of rows) {
        const args = [...words.split(' '), ...rest];
        const { code, stdout, stderr } = await here(directory, args);
        assert.is(code, expected, `${args.join(' ')}: ${stdout}${stderr}`);
        assert.not.match(stderr, /\n {4}at /);
      }
    }
  }));

test('exit code 130 for a signal, with a device at work or none', () =>
  inDirectory(async (directory) => {
    for (const [words, stopAt] of [
      [['verify'], 'adapter: '],
      [['bench', 'kernels', '--json'], '{'],
    ] as const) {
      const { code, stderr } = await trimap(directory, words, { stopAt });
      assert.is(code, 130, `${words.join(' ')}: ${stderr}`);
    }
  }));

test('README lists every command and the exit codes', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  for (const words of all.keys()) {
    assert.ok(readme.includes(`| \`trimap ${words}`), `${words} has a row in README.md`);
  }
  for (const code of [0, 1, 2, 3, 4, 130]) assert.match(readme, new RegExp(`^\\| ${code} \\|`, 'm'));
});

test('doctor: ready here, and for each problem a command', () =>
  inDirectory(async (directory) => {
    const lines = async (args: string[]) => {
      const { code, stdout } = await trimap(directory, ['doctor', '--json', ...args]);
      const findings = stdout.trim().split('\n');
      return { code, findings: findings.map((line) => JSON.parse(line) as Record<string, unknown>) };
    };
    const well = await lines([]);
    assert.is(well.code, 0, JSON.stringify(well.findings));
    for (const subject of [
      'Node',
      'adapter',
      'driver',
      'features',
      'limits',
      'memory',
      'arithmetic',
      'writing',
      'disk',
      'data',
    ]) {
      assert.ok(
        well.findings.some((finding) => finding.subject === subject),
        subject,
      );
    }
    // A file where runs are to lie, and half a data set.
    writeFileSync(join(directory, 'runs'), '');
    mkdirSync(join(directory, 'oxford-iiit-pet', 'images'), { recursive: true });
    const ill = await lines([]);
    assert.is(ill.code, 1);
    const problems = ill.findings.filter(({ state }) => state === 'problem');
    assert.equal(
      problems.map(({ subject, exitCode }) => [subject, exitCode]),
      [
        ['writing', 1],
        ['data', 3],
      ],
    );
    assert.match(String(problems[0].command), /^mv '.*runs' '.*runs\.old'$/);
    assert.is(problems[1].command, "npx trimap check --data-path 'oxford-iiit-pet'");
    const text = await trimap(directory, ['doctor', '--quiet', ...none]);
    assert.is(text.code, 4);
    assert.match(text.stdout, /^problem +adapter +no WebGPU adapter matches/);
    assert.not.match(text.stdout, /^ok/m);
  }));

const offered = (...words: string[]) => completions(words).map(({ word }) => word);

test('completion: commands, flags, and values where there is a list', () => {
  assert.equal(offered('tr'), ['train']);
  assert.ok(offered('').length === commands.length);
  assert.equal(offered('bench', 's'), ['step']);
  assert.equal(offered('train', '--ep'), ['--epochs']);
  assert.equal(offered('train', '--net', 'resnet34-unet-bri'), [
    'resnet34-unet-bridge-dropout',
    'resnet34-unet-bridge',
  ]);
  assert.equal(offered('train', '--tune', '--ep'), ['--epochs']);
  assert.equal(offered('train', '--no-fuse', '--net', 'unet-u'), ['unet-upfirst']);
  for (const words of [
    ['train', '--epochs', ''],
    ['train', '-e', ''],
    ['train', '--tune', ''],
    ['predict', ''],
    ['nonsense', ''],
  ]) {
    assert.equal(offered(...words), [], `${words.join(' ')}: file names`);
  }
  assert.equal(completionLines(['bench', 'st'], true), ['step:whole training and inference steps of a network']);
});

test('completion: the script in bash', () =>
  inDirectory(async (directory) => {
    if (spawnSync('bash', ['--version']).status !== 0) return skip('there is no bash');
    const main = join(root, 'dist', 'cli', 'main.js');
    writeFileSync(join(directory, 'trimap'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`, { mode: 0o755 });
    const script = `
      source <(trimap completion)
      COMP_WORDS=(trimap train --optimizer ad) COMP_CWORD=3
      _trimap_yargs_completions
      echo "\${COMPREPLY[@]}"`;
    const env = { ...process.env, SHELL: '/bin/bash', PATH: `${directory}:${process.env.PATH}` };
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', env });
    assert.equal([stdout, stderr], ['adam adamw\n', '']);
  }));

test.run();
