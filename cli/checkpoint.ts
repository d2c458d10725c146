/**
 * Checkpoints: safetensors files that hold the weights and running statistics under their names, the optimizer's state
 * as `optimizer.STATE.NAME`, and, as metadata, everything needed to use them. A JSON of the same name shows the latter.
 */
import { existsSync, readFileSync } from 'node:fs';
import { DataError, listNames } from '../data/errors.js';
import { writeFileAtomic } from '../data/files.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../data/safetensors.js';
import type { EarlyStoppingState } from '../engine/earlyStopping.js';
import type { LossScaleState } from '../engine/lossScale.js';
import type { PlateauState } from '../engine/schedules.js';
import type { Variables } from '../engine/variables.js';
import type { Scores } from './evaluation.js';
import type { RunSettings } from './settings.js';

/** How far a run has come; the sums of an unfinished epoch are kept, so that going on equals never having stopped. */
export interface TrainingState {
  /** Finished epochs, validation included. */
  epoch: number;
  /** Batches done of the epoch after those; all of them where only its validation is missing. */
  batch: number;
  /** Steps since the beginning. */
  step: number;
  lossSum: number;
  /** Over the steps that were not skipped. */
  gradientNormSum: number;
  /** Steps of the epoch whose gradients overflowed f16. */
  skippedSteps: number;
  /** Over the images of the batches done. */
  diceSum: number;
  /** Images trained on in `seconds`, in `waitedSeconds` of which the next batch was not ready (see `Trainer`). */
  images: number;
  seconds: number;
  waitedSeconds: number;
  /** Of the unfinished epoch in all processes together. */
  wallSeconds: number;
  best: { epoch: number; dice: number } | null;
  /** Of a schedule that follows the scores. */
  schedule: PlateauState | null;
  earlyStopping: EarlyStoppingState | null;
  /** Of training with f16. */
  lossScale: LossScaleState | null;
}

export const freshState = (): TrainingState => ({
  epoch: 0,
  batch: 0,
  step: 0,
  lossSum: 0,
  gradientNormSum: 0,
  skippedSteps: 0,
  diceSum: 0,
  images: 0,
  seconds: 0,
  waitedSeconds: 0,
  wallSeconds: 0,
  best: null,
  schedule: null,
  earlyStopping: null,
  lossScale: null,
});

export interface CheckpointInfo {
  settings: RunSettings;
  state: TrainingState;
  /** Scores of the weights on the validation split, where they were taken. */
  validation: Scores | null;
  /** Names of the photos the run learns from, as a digest: resuming with others would be another run. */
  trainingPhotos: string;
}

export interface Checkpoint {
  path: string;
  /** By parameter or buffer name. */
  weights: Map<string, StoredTensor>;
  /** By `STATE.NAME`. */
  optimizer: Map<string, StoredTensor>;
  /** Undefined where the file comes from elsewhere. */
  info?: CheckpointInfo;
}

const OPTIMIZER = 'optimizer.';

const jsonBeside = (path: string): string => path.replace(/(\.safetensors)?$/, '.json');

/** Arenas that a checkpoint's weights and running statistics are taken from. */
export type WeightArenas = readonly [parameters: string, buffers: string];

const PRESENT: WeightArenas = ['parameters', 'buffers'];

/**
 * @param states arenas that are saved with the weights so that training can go on; none for a checkpoint that is only to
 *   be used
 * @param weights where the weights are: the present ones, or their moving averages
 */
export async function saveCheckpoint(
  path: string,
  variables: Variables,
  states: readonly string[],
  info: CheckpointInfo,
  weights: WeightArenas = PRESENT,
): Promise<void> {
  const tensors = new Map<string, StoredTensor>();
  const add = async (arena: string, prefix: string) => {
    for (const [name, data] of await variables.read(arena)) {
      tensors.set(prefix + name, { dtype: 'F32', shape: [...variables.find(name)!.shape], data });
    }
  };
  for (const arena of weights) await add(arena, '');
  for (const state of states) await add(state, `${OPTIMIZER}${state}.`);
  // The JSON goes first: the weights are what counts as the checkpoint.
  writeFileAtomic(jsonBeside(path), `${JSON.stringify(info, null, 2)}\n`);
  writeSafetensors(path, tensors, { format: 'trimap', info: JSON.stringify(info) });
}

/** @throws DataError when the file is not there, damaged, or holds a weight that is not a finite number */
export function readCheckpoint(path: string): Checkpoint {
  if (!existsSync(path))
    throw new DataError(`${path} does not exist; give a checkpoint such as runs/unet/best.safetensors`);
  const { tensors, metadata } = readSafetensors(path);
  const weights = new Map<string, StoredTensor>();
  const optimizer = new Map<string, StoredTensor>();
  for (const [name, tensor] of tensors) {
    // PyTorch counts batches for an average without momentum, which our nets do not use.
    if (name.endsWith('.num_batches_tracked')) continue;
    const bad = tensor.data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw new DataError(`${path}: ${name} holds ${tensor.data[bad]} at element ${bad}; these weights are of no use`);
    if (name.startsWith(OPTIMIZER)) optimizer.set(name.slice(OPTIMIZER.length), tensor);
    else weights.set(name, tensor);
  }
  return { path, weights, optimizer, info: readInfo(path, metadata.info) };
}

/** From the file itself, or from the JSON beside it where a tool has dropped the metadata. */
function readInfo(path: string, metadata: string | undefined): CheckpointInfo | undefined {
  const json = jsonBeside(path);
  const text = metadata ?? (existsSync(json) ? readFileSync(json, 'utf8') : undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as CheckpointInfo;
  } catch (error) {
    throw new DataError(
      `${metadata === undefined ? json : `${path}: its metadata`} is not JSON (${(error as Error).message})`,
    );
  }
}

/** @throws DataError when the checkpoint does not say which network it belongs to */
export function requireInfo(checkpoint: Checkpoint): CheckpointInfo {
  if (checkpoint.info?.settings?.net) return checkpoint.info;
  throw new DataError(
    `${checkpoint.path} does not say which network it is of; it needs the metadata that trimap writes, or ` +
      `${jsonBeside(checkpoint.path)} beside it`,
  );
}

/** @throws DataError when the checkpoint does not say how far its run has come */
export function requireState(checkpoint: Checkpoint): CheckpointInfo {
  const info = requireInfo(checkpoint);
  const missing = Object.keys(freshState()).filter((key) => !Object.hasOwn(info.state ?? {}, key));
  if (missing.length === 0) return info;
  throw new DataError(
    `${checkpoint.path} does not say ${listNames(missing, 3)}: it is of an older version; ` +
      'a new run can begin with its weights (--model)',
  );
}

/**
 * Gives the variables the checkpoint's values.
 * @throws DataError that lists what is missing, left over or of another shape
 */
export function loadWeights(variables: Variables, { path, weights, info }: Checkpoint, settings: RunSettings): void {
  const model = ({ net, baseWidth }: RunSettings) => `${net} with base width ${baseWidth}`;
  const wanted = model(settings);
  if (info && model(info.settings) !== wanted) {
    throw new DataError(
      `${path} is a checkpoint of ${model(info.settings)}, not of ${wanted}; give the same --net and --base-width`,
    );
  }
  const missing = variables.list.filter(({ name }) => !weights.has(name)).map(({ name }) => name);
  const unexpected = [...weights.keys()].filter((name) => !variables.find(name));
  const wrong = variables.list.flatMap(({ name, shape }) => {
    const got = weights.get(name)?.shape;
    return got && got.join() !== shape.join() ? [`${name} [${got.join(', ')}] instead of [${shape.join(', ')}]`] : [];
  });
  const faults = Object.entries({ missing, unexpected, 'of another shape': wrong })
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${names.length} ${what}: ${listNames(names, 5)}`);
  if (faults.length > 0) throw new DataError(`${path} does not fit ${wanted}: ${faults.join('; ')}`);
  for (const variable of variables.list) variables.set(variable, weights.get(variable.name)!.data);
}

/** @throws DataError when a state or a variable's part of it is missing */
export function loadOptimizer(variables: Variables, { path, optimizer }: Checkpoint, states: readonly string[]): void {
  for (const state of states) {
    for (const variable of variables.inArena(state)) {
      const values = optimizer.get(`${state}.${variable.name}`);
      if (!values)
        throw new DataError(`${path} has no ${OPTIMIZER}${state}.${variable.name}; it cannot be resumed from`);
      variables.set(variable, values.data, variables.arena(state));
    }
  }
}
