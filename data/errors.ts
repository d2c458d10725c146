/** Errors of the data layer that a user can act on: the message says what, where and what to do next. */

/** Something about the files given is wrong; the message is meant to be shown as it is, without a stack. */
export class DataError extends Error {
  override readonly name: string = 'DataError';
}

/** One file is not a picture that can be read. `reason` is the message without the file's name. */
export class DecodeError extends DataError {
  override readonly name = 'DecodeError';

  constructor(
    readonly file: string,
    readonly reason: string,
  ) {
    super(`${file} ${reason}`);
  }
}

/** A file that cannot be used, and why: `${file} ${reason}` reads as a sentence. */
export interface BadFile {
  file: string;
  reason: string;
}

/** What to do with files of the data set that cannot be used: end with an error that names them, or leave them out. */
export type BadFilePolicy = 'stop' | 'skip';

/** Joins names for a message; a very long list is cut with the number left out. */
export function listNames(names: readonly string[], limit = 100): string {
  const shown = names.slice(0, limit).join(', ');
  return names.length > limit ? `${shown} and ${names.length - limit} more` : shown;
}

/** "1 file", "2 files". */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`;
}
