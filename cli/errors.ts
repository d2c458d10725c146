/** Errors of the command line whose message says all that the user needs; `main.ts` shows them without a stack. */

/** The command line is at fault. Exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The work itself came to an end that is no success, such as a loss that is not a number. Exit code 1. */
export class RunError extends Error {
  override name = 'RunError';
}

/** The user stopped the command; the message says how to go on. Exit code 130. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}
