/** The command line: gives the commands of `commands/` to yargs, and says in our words what it finds wrong. */
import { createRequire } from 'node:module';
import yargs, { type Argv } from 'yargs';
import { closest } from './arguments.js';
import { commands, wordOf } from './commands/all.js';
import type { Command, CommandGroup } from './commands/define.js';
import { completionLines } from './commands/completions.js';
import { explainError, UsageError } from './errors.js';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

const EXIT_CODES =
  'Exit codes: 0 done, 1 a check failed or something unexpected, 2 the command line or settings, 3 the data, ' +
  '4 the device, 130 interrupted.';

/** What the chosen command does; gives the exit code. Undefined where --help or --version was all. */
let chosen: (() => Promise<number>) | undefined;
function takeChosen(): typeof chosen {
  const taken = chosen;
  chosen = undefined;
  return taken;
}

/** Every flag of the chosen command, for suggestions. */
let known: string[] = [];

function addCommand(y: Argv, entry: Command | CommandGroup): Argv {
  if ('commands' in entry) {
    const words = entry.commands.map(wordOf);
    return y.command(entry.name, entry.describe, (own) =>
      entry.commands
        .reduce(addCommand, own)
        .epilogue([described(entry.commands[0].example), EXIT_CODES].join('\n\n'))
        .demandCommand(1, 1, `give what to ${entry.name}: ${listed(words)}`, `give one thing to ${entry.name}`),
    );
  }
  const { name, describe, example, flags, places = {}, epilogue, run } = entry;
  return y.command(
    name,
    describe,
    (own) => {
      known = Object.entries(flags).flatMap(([flag, { alias }]) => [
        flag,
        ...(typeof alias === 'string' ? [alias] : []),
      ]);
      for (const [place, options] of Object.entries(places)) own.positional(place, options);
      return own
        .options(flags)
        .epilogue([described(example), ...(epilogue ? [epilogue] : []), EXIT_CODES].join('\n\n'));
    },
    (given) => {
      chosen = () => run(given as never);
    },
  );
}

/** Of its own instead of yargs's examples, which break the line that is to be copied. */
const described = ([words, what]: Command['example']): string => `Example: ${what}\n  trimap ${words}`;

const listed = (words: readonly string[]): string => `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`;

function parse(argv: readonly string[]): unknown {
  return commands
    .reduce<Argv>(addCommand, yargs([...argv]).scriptName('trimap'))
    .usage('$0 COMMAND [flags]\n\nTrains networks that tell an object from its background, on any WebGPU adapter.')
    .epilogue([described(['train', 'a small network on pictures that are drawn on the spot']), EXIT_CODES].join('\n\n'))
    .completion('completion', 'print a script that completes commands, flags and values in bash or zsh')
    .strict()
    .recommendCommands()
    .demandCommand(1, 1, `give a command: ${listed(commands.map(wordOf))}`, 'give one command')
    .parserConfiguration({ 'boolean-negation': false })
    .version(version)
    .help()
    .alias('help', 'h')
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw new UsageError(explain(message ?? error.message));
    })
    .parse();
}

/** What yargs found wrong, in our words, with the flag that was probably meant. */
function explain(message: string): string {
  const guess = /^Did you mean (.*)\?$/.exec(message)?.[1];
  if (guess) return `unknown command; did you mean ${guess}?`;
  const bare = /^Not enough arguments following: (.*)$/.exec(message)?.[1];
  if (bare) return `${bare.length > 1 ? '--' : '-'}${bare} needs a value`;
  const unknown = /^Unknown (?:argument|command)s?: (.*)$/.exec(message)?.[1].split(', ') ?? [];
  if (unknown.length === 0) return message;
  const described = [...new Set(unknown)].map((name) => {
    const near = closest(name, known);
    return near ? `${name} (did you mean --${near}?)` : name;
  });
  return `unknown: ${described.join(', ')}`;
}

/** `--data_path` is `--data-path`; what follows a lone `--` is left alone. */
function withHyphens(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((word, i) =>
    end >= 0 && i >= end ? word : word.replace(/^--[^=]+/, (name) => name.replaceAll('_', '-')),
  );
}

/** The scripts of `trimap completion` call this with the command line so far, `trimap` included. */
const COMPLETE = '--get-yargs-completions';

/**
 * Runs one command line, and says on stderr what went wrong.
 * @param words those behind `trimap`
 * @returns the exit code
 */
export async function execute(words: readonly string[]): Promise<number> {
  if (words[0] === COMPLETE) {
    const zsh = /zsh/.test(process.env.SHELL ?? '');
    for (const line of completionLines(words.slice(2), zsh)) console.log(line);
    return 0;
  }
  try {
    await parse(withHyphens(words));
    return (await takeChosen()?.()) ?? 0;
  } catch (error) {
    const { text, exitCode } = explainError(error);
    console.error(text);
    return exitCode;
  }
}
