/** Flags that several commands share, and how a flag is made. */
import type { Options } from 'yargs';
import { losses, type LossName } from '../../nets/losses.js';
import { networks, type NetworkName } from '../../nets/networks.js';
import { oneOf, text, wholeNumber } from '../arguments.js';

/** A flag with one checked value. */
export function flag<T>(describe: string, check: (value: unknown) => T, extra: Options = {}) {
  // The type says what the check gives, or nothing where the flag is absent.
  return {
    describe,
    string: true,
    requiresArg: true,
    coerce: check as (value: unknown) => T | undefined,
    ...extra,
  } as const;
}

export const networkNames = Object.keys(networks) as NetworkName[];
export const lossNames = Object.keys(losses) as LossName[];
export const borders = ['pet', 'background', 'ignore'] as const;

export const adapter = flag('part of the name of the WebGPU adapter to use', text('--adapter'));

export const onBadFile = flag(
  'files that cannot be read: stop with an error that names them, or skip them [stop]',
  oneOf('--on-bad-file', ['stop', 'skip']),
);

export const dataPath = flag(
  'data set: the Oxford-IIIT Pet folder, or any folder with images/ and masks/',
  text('--data-path'),
);

export const splitSeed = flag('of the split of a folder that has none of its own [42]', wholeNumber('--seed', 0));

export const checkpointActivations = {
  describe: 'less memory: compute batch norm, ReLU and the like again for the gradients instead of keeping them',
  boolean: true,
} as const;

export const json = { describe: 'print JSON instead of text', boolean: true, default: false } as const;

export const precision = (otherwise: string) =>
  flag(
    `how the net's activations are stored and its gradients flow back: f32 or f16 [${otherwise}]`,
    oneOf('--precision', ['f32', 'f16']),
  );

/** For commands that print many things one after another. */
export const jsonLines = { ...json, describe: 'print JSON lines on stdout; text goes to stderr' } as const;

export const quiet = { describe: 'show results and warnings alone', boolean: true } as const;

export const tune = flag(
  'measure which forms of the kernels are the fastest here, and keep that for this adapter; with a file, ' +
    "such as a run's kernels.json, take its choices instead",
  (value) => (value === '' ? (true as const) : text('--tune')(value)),
  { requiresArg: false },
);

export const model = (describe: string) => flag(describe, text('--model'));
