/** Checks of flag values. Each says what is wrong with which flag, and what to give instead. */

import { UsageError } from './errors.js';

function single(flag: string, value: unknown): string {
  if (Array.isArray(value)) throw new UsageError(`${flag} is given ${value.length} times; give it once`);
  const text = String(value).trim();
  if (text === '') throw new UsageError(`${flag} needs a value`);
  return text;
}

export const text =
  (flag: string) =>
  (value: unknown): string =>
    single(flag, value);

/** Of a run, in runs/. */
export function folderName(value: unknown): string {
  const given = single('--name', value);
  if (/^[\p{L}\p{N}][\p{L}\p{N}._ -]*$/u.test(given) && !given.endsWith('.')) return given;
  throw new UsageError(
    `--name ${given}: give a name of letters, digits, . _ - and blanks, such as unet-512; --run takes paths`,
  );
}

/** One of a list of names, which the check carries for the shell's completion. */
export const oneOf = <T extends string>(flag: string, names: readonly T[]) =>
  Object.assign(
    (value: unknown): T => {
      const given = single(flag, value);
      const known = names.find((name) => name === given);
      if (known) return known;
      const guess = closest(given, names);
      throw new UsageError(
        `${flag} ${given} is not known${guess ? `; did you mean ${guess}?` : '.'} It is one of ${names.join(', ')}`,
      );
    },
    { names },
  );

/** A whole number from `least` on. */
export const wholeNumber =
  (flag: string, least: number) =>
  (value: unknown): number => {
    const given = single(flag, value);
    const number = Number(given);
    if (Number.isSafeInteger(number) && number >= least) return number;
    throw new UsageError(`${flag} ${given}: give a whole number of ${least} or more`);
  };

/** A finite number above `bound`, or from it on. */
export const number =
  (flag: string, bound: number, { inclusive = false } = {}) =>
  (value: unknown): number => {
    const given = single(flag, value);
    const parsed = Number(given);
    if (Number.isFinite(parsed) && (inclusive ? parsed >= bound : parsed > bound)) return parsed;
    throw new UsageError(
      `${flag} ${given}: give a number ${inclusive ? `of ${bound} or more` : `above ${bound}`}, such as 0.001 or 1e-3`,
    );
  };

/** An even number from 2 on. */
export const evenNumber = (flag: string): ((value: unknown) => number) => {
  const check = wholeNumber(flag, 2);
  return (value) => {
    const width = check(value);
    if (width % 2 !== 0) throw new UsageError(`${flag} ${width}: give an even number, such as ${width + 1}`);
    return width;
  };
};

/**
 * A probability, neither 0 nor 1.
 * @param others what else the flag takes, for the message
 */
export const probability =
  (flag: string, others = '') =>
  (value: unknown): number => {
    const given = single(flag, value);
    const parsed = Number(given);
    if (parsed > 0 && parsed < 1) return parsed;
    throw new UsageError(`${flag} ${given}: give a probability above 0 and below 1, such as 0.5${others}`);
  };

/** The name nearest to what was typed by edit distance, if it is near at all. */
export function closest(given: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, distance: editDistance(given.toLowerCase(), name) }));
  const best = ranked.sort((a, b) => a.distance - b.distance)[0];
  return best && best.distance <= Math.max(2, Math.floor(given.length / 3)) ? best.name : undefined;
}

/** Levenshtein distance, row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
