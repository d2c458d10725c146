/**
 * What a command is: a name, a line of description, an example, flags, and what it does. `main.ts` gives the list to
 * yargs. A command's module, and with it the engine, is loaded only when the command runs, so that the first line appears
 * at once.
 */
import type { ArgumentsCamelCase, Argv, InferredOptionTypes, Options } from 'yargs';

type Flags = Readonly<Record<string, Options>>;
type Places = Readonly<Record<string, Parameters<Argv['positional']>[1]>>;

/** What the command line gave, under the flags' names in camel case. */
type Given<F extends Flags, P extends Places> = ArgumentsCamelCase<InferredOptionTypes<F> & InferredOptionTypes<P>>;

interface Described {
  /** As yargs takes it: `predict <photos..>`. */
  name: string;
  /** One line. */
  describe: string;
}

interface Definition<F extends Flags, P extends Places> extends Described {
  /** What follows `trimap` on the command line, and what that does. */
  example: readonly [words: string, what: string];
  flags: F;
  /** What comes without a flag, by the names in `name`. */
  places?: P;
  epilogue?: string;
  /** Resolves to the exit code. */
  run(given: Given<F, P>): Promise<number>;
}

/** A command of the list, its own types left behind. */
export interface Command extends Omit<Definition<Flags, Places>, 'run'> {
  run(given: never): Promise<number>;
}

/** Commands below one word, such as `bench step`. */
export interface CommandGroup extends Described {
  commands: readonly Command[];
}

/** Checks that `run` takes what the flags give. */
export function command<const F extends Flags, const P extends Places = Record<never, never>>(
  definition: Definition<F, P>,
): Command {
  return definition as unknown as Command;
}
