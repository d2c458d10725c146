/** Errors of the command line whose message says all that the user needs, and how any error is shown. */
import { inspect } from 'node:util';
import { DataError } from '../data/errors.js';
import { DeviceError } from '../engine/device.js';
import { SettingsError } from '../engine/settings.js';

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

/** Errors that a user can act on, whose message says all, and their exit codes. */
const expected: [kind: abstract new (...args: never[]) => Error, exitCode: number][] = [
  [UsageError, 2],
  [SettingsError, 2],
  [DataError, 3],
  [DeviceError, 4],
  [Interrupted, 130],
  [RunError, 1],
];

/** What is said of an error, one line if it was foreseen, and the exit code. */
export function explainError(error: unknown): { text: string; exitCode: number } {
  const exitCode = expected.find(([kind]) => error instanceof kind)?.[1];
  if (exitCode === undefined) return { text: inspect(error), exitCode: 1 };
  const { message } = error as Error;
  return { text: error instanceof Interrupted ? message : `error: ${message}`, exitCode };
}
