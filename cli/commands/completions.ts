/** What the shell's completion offers: commands, then a command's flags, and the values of a flag that has a list. */
import type { Options } from 'yargs';
import { commands, wordOf } from './all.js';
import type { Command, CommandGroup } from './define.js';

interface Offer {
  word: string;
  describe: string;
}

/**
 * @param words the command line so far, from the first word behind `trimap` to the unfinished one, which may be empty
 * @returns nothing where a file name or a number is due: the shell then completes file names
 */
export function completions(words: readonly string[]): Offer[] {
  let open: readonly (Command | CommandGroup)[] = commands;
  for (const [i, word] of words.entries()) {
    if (i === words.length - 1) break;
    const entry = open.find((one) => wordOf(one) === word);
    if (!entry) return [];
    if (!('commands' in entry)) return withinCommand(entry, words.slice(i + 1));
    open = entry.commands;
  }
  const offers = open.map((one) => ({ word: wordOf(one), describe: one.describe }));
  return starting(offers, words[words.length - 1] ?? '');
}

function withinCommand({ flags }: Command, words: readonly string[]): Offer[] {
  const unfinished = words[words.length - 1];
  const before = words[words.length - 2] ?? '';
  const [, name] = /^--?([^=]+)$/.exec(before) ?? [];
  const flag = name === undefined ? undefined : flagOf(flags, name);
  const takesValue = flag && !flag.boolean && (flag.requiresArg || !unfinished.startsWith('-'));
  if (takesValue) {
    // `oneOf` carries its list.
    const { names = [] } = flag.coerce as { names?: readonly string[] };
    return starting(
      names.map((word) => ({ word, describe: '' })),
      unfinished,
    );
  }
  if (!unfinished.startsWith('-')) return [];
  const offers = Object.entries(flags).map(([word, { describe }]) => ({
    word: `--${word}`,
    describe: String(describe),
  }));
  return starting([...offers, { word: '--help', describe: 'show help' }], unfinished);
}

const flagOf = (flags: Readonly<Record<string, Options>>, name: string): Options | undefined =>
  flags[name] ?? Object.values(flags).find(({ alias }) => alias === name);

const starting = (offers: readonly Offer[], start: string): Offer[] =>
  offers.filter(({ word }) => word.startsWith(start));

/** As the scripts of `trimap completion` read them: a line a word; zsh shows the description behind a colon, too. */
export function completionLines(words: readonly string[], zsh: boolean): string[] {
  return completions(words).map(({ word, describe }) => (zsh && describe !== '' ? `${word}:${describe}` : word));
}
