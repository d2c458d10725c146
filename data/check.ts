/**
 * Looks at every file of a data set and lists all that is wrong with it, where training would stop at the first kind of
 * fault. What is odd but harmless becomes a note.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { extname, relative, resolve, sep } from 'node:path';
import { openDataset, type Dataset, type Sample } from './dataset.js';
import { fileType } from './decode.js';
import { DataError, type BadFile } from './errors.js';
import { isFolderLayout } from './folder.js';
import { readBinaryMasks, type MaskValues } from './maskValues.js';
import { isOxfordPet } from './oxfordPet.js';
import { readPair, type PairFault, type PairJob } from './prepare.js';
import { defaultWorkers, runJobs } from './workers.js';

/**
 * What is wrong. `layout`: the folder as a whole cannot be read. `missing`: asked for by a list or a partner, and not
 * there. `unreadable`, `size`, `values`: of a file or its mask. `duplicate`: two photos of the same bytes. `listed twice`
 * and `in two splits`: one name more than once in the lists.
 */
export type FaultKind = 'layout' | 'missing' | PairFault['kind'] | 'duplicate' | 'listed twice' | 'in two splits';

/** `type`: the first bytes say another type than the name. */
export type NoteKind = 'unlisted' | 'unpaired mask' | 'type' | 'same name in two splits';

/** `${file} ${reason}` reads as a sentence; `file` is relative to the data set. */
export interface Finding<Kind> extends BadFile {
  kind: Kind;
}

export interface CheckReport {
  root: string;
  /** Undefined when the folder could not be read as a whole. */
  layout?: Dataset['layout'];
  /** Photos and masks that were read. */
  files: number;
  faults: Finding<FaultKind>[];
  notes: Finding<NoteKind>[];
  /** How the folder was read, in lines for the user. */
  summary: string[];
}

export interface CheckOptions {
  /** Decides the split of a folder that has none of its own. */
  seed: number;
  /** Threads that decode. */
  workers?: number;
  onProgress?: (done: number, total: number) => void;
}

/**
 * What a worker thread finds out about a sample. Types, and the hash of the photo's bytes, are undefined for what
 * cannot be read.
 */
export interface Inspection {
  imageType?: string;
  maskType?: string;
  hash?: string;
  faults: PairFault[];
  values?: MaskValues;
}

export function inspectSample(job: PairJob): Inspection {
  const { pair, bad } = readPair(job);
  return {
    imageType: typeOf(job.image),
    maskType: typeOf(job.mask),
    hash: hashOf(job.image),
    faults: bad ?? [],
    values: pair?.values,
  };
}

/** Undefined for a file that cannot be read, which `readPair` reports. */
function hashOf(file: string): string | undefined {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex');
  } catch {
    return undefined;
  }
}

/** The type by the first bytes; undefined when they say none that is known, or cannot be read. */
function typeOf(file: string): string | undefined {
  const start = Buffer.alloc(32);
  try {
    const handle = openSync(file, 'r');
    try {
      return fileType(start.subarray(0, readSync(handle, start)));
    } finally {
      closeSync(handle);
    }
  } catch {
    return undefined;
  }
}

/**
 * Checks a data set; nothing is written. Throws DataError only when the path is no data set at all.
 */
export async function checkDataset(path: string, options: CheckOptions): Promise<CheckReport> {
  const root = resolve(path);
  const { seed, workers = defaultWorkers, onProgress } = options;
  let dataset: Dataset;
  try {
    dataset = openDataset(path, { seed, onBadFile: 'skip' });
  } catch (error) {
    if (!(error instanceof DataError) || !(isOxfordPet(root) || isFolderLayout(root))) throw error;
    const fault = { kind: 'layout', file: '.', reason: `cannot be read as a data set: ${error.message}` } as const;
    return { root, files: 0, faults: [fault], notes: [], summary: [] };
  }
  const { maskRule, layout } = dataset;
  // A name that the lists give twice is read once.
  const samples = [...new Map(dataset.samples.map((sample) => [`${sample.image}\n${sample.mask}`, sample])).values()];
  const inspections: Inspection[] = [];
  let done = 0;
  await runJobs(
    'inspect',
    samples.map(({ image, mask }) => ({ image, mask, maskRule })),
    workers,
    (i, result) => {
      inspections[i] = result;
      onProgress?.(++done, samples.length);
    },
  );
  const unpairedPhotos = dataset.unused.filter(({ kind }) => kind === 'unpaired photo');
  const others = dataset.unused.filter((file) => file.kind !== 'unpaired photo') as Finding<NoteKind>[];
  const faults: Finding<FaultKind>[] = [
    ...[...dataset.missing, ...unpairedPhotos].map(({ file, reason }) => ({ file, reason, kind: 'missing' }) as const),
    ...inspections.flatMap((inspection) => inspection.faults),
    ...(maskRule === 'binary' ? valueFaults(root, samples, inspections) : []),
    ...repeatedNames(dataset),
    ...duplicates(dataset, samples, inspections),
  ];
  const notes: Finding<NoteKind>[] = [
    ...others,
    ...others.flatMap(({ file }) => typeNote(file, typeOf(file))),
    ...samples.flatMap(({ image, mask }, i) => [
      ...typeNote(image, inspections[i].imageType),
      ...typeNote(mask, inspections[i].maskType),
    ]),
    ...namesakes(dataset),
  ];
  const files = new Set(samples.flatMap(({ image, mask }) => [image, mask])).size;
  return { root, layout, files, faults: shown(faults, root), notes: shown(notes, root), summary: dataset.notes };
}

/** With paths relative to the data set, sorted by file. */
function shown<K>(findings: readonly Finding<K>[], root: string): Finding<K>[] {
  return findings
    .map(({ kind, file, reason }) => ({
      kind,
      file: relative(root, file) || '.',
      reason: reason.replaceAll(root + sep, ''),
    }))
    .sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));
}

/** Two-valued masks are decided over all files: one fault that says what was found, and one a mask that stands out. */
function valueFaults(
  root: string,
  samples: readonly Sample[],
  inspections: readonly Inspection[],
): Finding<FaultKind>[] {
  const masks = samples.flatMap(({ mask }, i) => {
    const { values } = inspections[i];
    return values ? [{ file: mask, values }] : [];
  });
  if (masks.length === 0) return [];
  try {
    readBinaryMasks(masks);
    return [];
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const common = commonForeground(masks.map(({ values }) => values));
    const odd = masks.filter(
      ({ values: { kind, counts } }) => kind === 'colour' || counts.some(([value]) => value !== 0 && value !== common),
    );
    return [
      { kind: 'values', file: root, reason: `cannot be read: ${error.message}` },
      ...odd.map(({ file, values }) => ({ kind: 'values' as const, file, reason: `holds ${describe(values)}` })),
    ];
  }
}

/** The value beside 0 that most masks of two values have; 255 when there is no such mask. */
function commonForeground(masks: readonly MaskValues[]): number {
  const votes = new Map<number, number>();
  for (const { kind, counts } of masks) {
    if (kind === 'colour' || counts.length !== 2 || counts[0][0] !== 0) continue;
    votes.set(counts[1][0], (votes.get(counts[1][0]) ?? 0) + 1);
  }
  return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 255;
}

function describe({ kind, counts }: MaskValues): string {
  if (kind === 'colour') return 'colours';
  const list = counts.slice(0, 10).map(([value, pixels]) => `${value} (${pixels} pixels)`);
  return `the values ${list.join(', ')}${counts.length > list.length ? ' and more' : ''}`;
}

const leak = 'what is learnt from must not be scored';

function repeatedNames({ layout, samples }: Dataset): Finding<FaultKind>[] {
  if (layout !== 'oxford') return [];
  return groups(samples, ({ name }) => name).map((same) => {
    const splits = same.map(({ split }) => split);
    const differ = new Set(splits).size > 1;
    return {
      kind: differ ? 'in two splits' : 'listed twice',
      file: same[0].image,
      reason: `is listed ${same.length} times: ${splits.join(', ')}${differ ? `; ${leak}` : ''}`,
    };
  });
}

/** Masks may well have the same bytes (all background), photos should not. */
function duplicates(
  dataset: Dataset,
  samples: readonly Sample[],
  inspections: readonly Inspection[],
): Finding<FaultKind>[] {
  const splitsOf = new Map<string, Set<string>>();
  for (const { image, split } of dataset.samples)
    splitsOf.set(image, (splitsOf.get(image) ?? new Set<string>()).add(split));
  const hashed = samples.flatMap(({ image }, i) => {
    const { hash } = inspections[i];
    return hash === undefined ? [] : [{ image, hash }];
  });
  const label = (image: string) => `${image} (${[...splitsOf.get(image)!].join(', ')})`;
  return groups(hashed, ({ hash }) => hash).map(([{ image }, ...rest]) => {
    const splits = new Set([image, ...rest.map((one) => one.image)].flatMap((one) => [...splitsOf.get(one)!]));
    return {
      kind: 'duplicate',
      file: image,
      reason:
        `(${[...splitsOf.get(image)!].join(', ')}) has the same bytes as ` +
        rest.map((one) => label(one.image)).join(', ') +
        (splits.size > 1 ? `; ${leak}` : ''),
    };
  });
}

/** In folders numbering often begins anew in each split, so a name in two of them says little. */
function namesakes({ layout, samples }: Dataset): Finding<NoteKind>[] {
  if (layout !== 'folder') return [];
  return groups(samples, ({ name }) => name.slice(name.indexOf('/') + 1)).map(([first, ...rest]) => ({
    kind: 'same name in two splits',
    file: first.image,
    reason: `has the name of ${rest.map(({ image }) => image).join(', ')}`,
  }));
}

/** Groups of two and more with one key, in the order in which they begin. */
function groups<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const byKey = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = byKey.get(key);
    if (group) group.push(item);
    else byKey.set(key, [item]);
  }
  return [...byKey.values()].filter((group) => group.length > 1);
}

const endings: Record<string, string> = { '.jpg': 'JPEG', '.jpeg': 'JPEG', '.png': 'PNG' };

function typeNote(file: string, type: string | undefined): Finding<NoteKind>[] {
  const named = endings[extname(file).toLowerCase()];
  if (type === undefined || type === named) return [];
  return [{ kind: 'type', file, reason: `is a ${type} file by its first bytes` }];
}
