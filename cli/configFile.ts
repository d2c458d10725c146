/** Settings from a recipe or a file (`--config`), where each key is checked as it is read. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkAugmentation } from '../data/augment.js';
import type { Dtype } from '../engine/layout.js';
import type { OptimizerSettings } from '../engine/optimizers.js';
import { resolveSchedule } from '../engine/schedules.js';
import {
  checkObject,
  type Field,
  integer,
  nullable,
  number,
  oneOf,
  readFields,
  SettingsError,
} from '../engine/settings.js';
import { resolveLoss } from '../nets/losses.js';
import { type NetworkName, networks } from '../nets/networks.js';
import { closest } from './arguments.js';
import { UsageError } from './errors.js';
import type { RunSettings } from './settings.js';

/** What a file says for people. */
const ABOUT = 'about';

const positive = { low: 0, exclusive: true };

const threeNumbers: Field<readonly [number, number, number]> = {
  expected: 'three numbers: red, green, blue',
  accepts: (value) => Array.isArray(value) && value.length === 3 && value.every(Number.isFinite),
  fallback: undefined,
};

const field =
  <T>(one: Field<T>) =>
  (value: unknown, key: string): T =>
    readFields('', { [key]: value }, { [key]: one })[key] as T;

const evenWidth: Field<number> = {
  expected: 'an even number from 2 on',
  accepts: (value) => Number.isInteger(value) && (value as number) >= 2 && (value as number) % 2 === 0,
  fallback: undefined,
};

const partsOrAuto: Field<number | 'auto'> = {
  expected: '"auto" or a whole number from 1 on',
  accepts: (value) => value === 'auto' || (Number.isInteger(value) && (value as number) >= 1),
  fallback: undefined,
};

const trueOrFalse: Field<boolean> = {
  expected: 'true or false',
  accepts: (value) => typeof value === 'boolean',
  fallback: undefined,
};

const names = Object.keys(networks) as NetworkName[];

/** How each key of a file of settings is read; the type keeps the list complete. */
const readers: {
  [K in keyof Required<Omit<RunSettings, 'foreground' | 'ignored'>>]: (value: unknown, key: string) => RunSettings[K];
} = {
  net: field(oneOf(names)),
  baseWidth: field(evenWidth),
  size: field(integer(undefined, 16)),
  loss: resolveLoss,
  classes: field(integer(undefined, 1)),
  seed: field(integer()),
  initialisation: field(oneOf(['pytorch', 'he'])),
  normalisation: (value, key) => readFields(key, value, { mean: threeNumbers, std: threeNumbers }),
  border: field(oneOf(['pet', 'background', 'ignore'])),
  dataPath: (value, key) => {
    if (typeof value !== 'string') throw new SettingsError(`${key}: ${JSON.stringify(value)} is not a path`);
    return resolve(value);
  },
  sample: (value, key) => {
    if (value === null) return null;
    const size = integer(undefined, 16);
    return readFields(key, value, { count: integer(undefined, 1), minSize: size, maxSize: size, seed: integer() });
  },
  split: (value) => (value === null ? null : resolve(String(value))),
  onBadFile: field(oneOf(['stop', 'skip'])),
  augmentation: checkAugmentation,
  batchSize: field(integer(undefined, 1)),
  microBatches: field(partsOrAuto),
  memoryBudget: field(nullable(number(undefined, positive))),
  epochs: field(integer(undefined, 1)),
  learningRate: field(number(undefined, positive)),
  schedule: resolveSchedule,
  optimizer: readOptimizer,
  clipNorm: field(nullable(number(undefined, positive))),
  ema: field(nullable(number(undefined, { low: 0, high: 0.999999, exclusive: true }))),
  earlyStopping: field(nullable(integer(undefined, 1))),
  checkNumerics: field(trueOrFalse),
  fuse: field(trueOrFalse),
  precision: field(oneOf<Dtype>(['f32', 'f16'])),
  checkpointActivations: field(trueOrFalse),
  initialWeights: (value) => (value === null ? null : resolve(String(value))),
  saveEvery: field(number(undefined, positive)),
  tensorboard: field(trueOrFalse),
  tune: (value, key) => {
    if (value === null || value === true || typeof value === 'string') return value;
    throw new SettingsError(`${key}: ${JSON.stringify(value)} is neither true, nor a file of choices, nor null`);
  },
};

/**
 * An optimizer's settings, what is left out filled up.
 * @param given a name, or an object whose `kind` is one
 * @param key where it stands, for messages
 * @throws SettingsError naming the key that is wrong
 */
export function readOptimizer(given: unknown, key: string): OptimizerSettings {
  if (typeof given === 'string') return readOptimizer({ kind: given }, key);
  checkObject(key, given);
  const { kind, ...rest } = given;
  const weightDecay = number(kind === 'adamw' ? 0.01 : 0, { low: 0 });
  if (kind === 'sgd') {
    const nesterov = { ...trueOrFalse, fallback: false };
    return { kind, ...readFields(key, rest, { momentum: number(0, { low: 0 }), nesterov, weightDecay }) };
  }
  const betas: Field<readonly [number, number]> = {
    expected: 'two numbers from 0 to below 1',
    accepts: (v) => Array.isArray(v) && v.length === 2 && v.every((b) => b >= 0 && b < 1),
    fallback: [0.9, 0.999],
  };
  const settings = readFields(key, rest, { betas, eps: number(1e-8, positive), weightDecay });
  if (kind === 'adam' || kind === 'adamw' || kind === 'radam') return { kind, ...settings };
  throw new SettingsError(`${key}.kind: ${JSON.stringify(kind)} is no optimizer; known are sgd, adam, adamw, radam`);
}

const recipeFolder = fileURLToPath(new URL('../../cli/recipes/', import.meta.url));

/** Names of the recipes that come with the project. */
export const recipeNames = (): string[] =>
  readdirSync(recipeFolder)
    .map((file) => file.replace(/\.json$/, ''))
    .sort();

/**
 * The settings in a recipe or a file; those under `networks.NET` stand for that net alone.
 * @param net the net that is asked for; default the file's own, then `unet`
 * @throws SettingsError naming the key that is wrong; UsageError when there is no such recipe or file
 */
export function loadConfig(
  { recipe, config }: { recipe?: string; config?: string },
  net?: NetworkName,
): Partial<RunSettings> {
  if (recipe !== undefined && config !== undefined) throw new UsageError('give --recipe or --config, not both');
  const path = recipe === undefined ? config : join(recipeFolder, `${recipe}.json`);
  if (path === undefined) return {};
  if (!existsSync(path)) {
    if (recipe === undefined) throw new UsageError(`--config ${path} does not exist`);
    throw new UsageError(`--recipe ${recipe}: there is no such recipe; there are ${recipeNames().join(', ')}`);
  }
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SettingsError(`${path} is not JSON (${(error as Error).message})`);
  }
  const name = recipe ?? path;
  checkObject(name, given);
  const { networks: special = {}, ...shared } = given;
  checkObject(`${name}: networks`, special);
  const settings = readSettings(name, shared);
  const read = Object.fromEntries(
    Object.entries(special).map(([key, own]) => [key, readSettings(`${name}: networks.${key}`, own)]),
  );
  const loaded = { ...settings, ...read[net ?? settings.net ?? 'unet'] };
  // A run's settings name the file that lies beside them.
  return typeof loaded.tune === 'string' ? { ...loaded, tune: resolve(dirname(path), loaded.tune) } : loaded;
}

function readSettings(where: string, given: unknown): Partial<RunSettings> {
  checkObject(where, given);
  const read = Object.entries(given).flatMap(([key, value]) => {
    if (key === ABOUT) return [];
    if (!Object.hasOwn(readers, key)) {
      const near = closest(key, Object.keys(readers));
      throw new SettingsError(`${where}: ${key} is not a setting${near ? `; did you mean ${near}?` : ''}`);
    }
    try {
      return [[key, readers[key as keyof typeof readers](value, key)]];
    } catch (error) {
      if (error instanceof SettingsError) throw new SettingsError(`${where}: ${error.message.replace(/^\./, '')}`);
      throw error;
    }
  });
  return Object.fromEntries(read) as Partial<RunSettings>;
}
