/** Reading settings that people write (flags, recipes, saved runs): every message begins with the key that is wrong. */

/** Settings that cannot work; the CLI exits with code 2. */
export class SettingsError extends Error {
  override name = 'SettingsError';
}

/** A value of a settings object: what is accepted, in words and as a test, and what stands for a missing one. */
export interface Field<T> {
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /** undefined: the value has to be given. */
  readonly fallback: T | undefined;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The object that `readFields` gives for a table of fields. */
export type FieldValues<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A finite number in [low, high], or above `low` where that is `exclusive`. */
export function number(fallback?: number, { low = -Infinity, high = Infinity, exclusive = false } = {}): Field<number> {
  const from = low === -Infinity ? '' : exclusive ? ` above ${low}` : ` from ${low} on`;
  const expected = high === Infinity ? `a number${from}` : `a number from ${low} to ${high}`;
  const accepts = (value: unknown): boolean =>
    Number.isFinite(value) &&
    (exclusive ? (value as number) > low : (value as number) >= low) &&
    (value as number) <= high;
  return { expected, accepts, fallback };
}

/** A whole number of `low` or more. */
export const integer = (fallback?: number, low = 0): Field<number> => ({
  expected: `a whole number from ${low} on`,
  accepts: (value) => Number.isInteger(value) && (value as number) >= low,
  fallback,
});

export const oneOf = <T extends string>(choices: readonly T[], fallback?: T): Field<T> => ({
  expected: `one of ${choices.join(', ')}`,
  accepts: (value) => choices.includes(value as T),
  fallback,
});

/** Also takes null, which then says "none". */
export const nullable = <T>({ expected, accepts, fallback }: Field<T>): Field<T | null> => ({
  expected: `${expected}, or null`,
  accepts: (value) => value === null || accepts(value),
  fallback,
});

/** A missing value stays null. */
export const optional = <T>(field: Field<T>): Field<T | null> => ({ ...nullable(field), fallback: null });

/** JSON, but for numbers that JSON does not know. */
const show = (value: unknown): string => (typeof value === 'number' ? String(value) : JSON.stringify(value));

/** @throws SettingsError unless it is an object of names and values */
export function checkObject(key: string, given: unknown): asserts given is Record<string, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new SettingsError(`${key}: ${show(given)} is not an object of names and values`);
  }
}

/**
 * Every field's value, given or fallback.
 * @param key how the settings are called in messages
 * @throws SettingsError naming an unknown key, a missing one, or a value that is not accepted
 */
export function readFields<F extends Fields>(key: string, given: unknown, fields: F): FieldValues<F> {
  checkObject(key, given);
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(fields, name));
  if (unknown !== undefined) {
    throw new SettingsError(`${key}.${unknown}: unknown key; known are ${Object.keys(fields).join(', ')}`);
  }
  const values = Object.entries(fields).map(([name, { expected, accepts, fallback }]) => {
    const value = given[name] ?? (given[name] === null ? null : fallback);
    if (value === undefined) throw new SettingsError(`${key}.${name}: missing; ${expected} is needed`);
    if (value !== fallback && !accepts(value)) {
      throw new SettingsError(`${key}.${name}: ${show(value)} is not ${expected}`);
    }
    return [name, value];
  });
  return Object.fromEntries(values) as FieldValues<F>;
}
