/** Reads a directory of reference cases: `index.json` and one safetensors file a case (format: README, "Golden values"). */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataError } from '../../data/errors.js';
import { readSafetensors, type StoredTensor } from '../../data/safetensors.js';

export type Rule =
  | { rule: 'max'; rtol: number; atol: number }
  | { rule: 'elem'; rtol: number; atol: number }
  | { rule: 'exact' }
  | { rule: 'image'; mean_abs: number; max_abs: number; frac: number };

export interface GoldenCase {
  name: string;
  file: string;
  kind: string;
  op: string;
  // Options differ from op to op; each case reads its own.
  options: Record<string, any>;
  tolerance: { default: Rule; tensors?: Record<string, Rule> };
}

/** @throws DataError when the directory holds no readable index */
export function readIndex(directory: string): GoldenCase[] {
  const path = join(directory, 'index.json');
  if (!existsSync(path))
    throw new DataError(`${path} does not exist; --golden needs a directory of reference cases with an index.json`);
  let index: unknown;
  try {
    index = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new DataError(`${path} is not JSON: ${(error as Error).message}`);
  }
  const cases = (index as { cases?: unknown }).cases;
  if (!Array.isArray(cases)) throw new DataError(`${path} has no list "cases"`);
  return cases as GoldenCase[];
}

/** The tensors of one case; asking for one that is missing names the case. */
export class GoldenTensors {
  private readonly tensors: Map<string, StoredTensor>;

  constructor(
    directory: string,
    readonly golden: GoldenCase,
  ) {
    this.tensors = readSafetensors(join(directory, golden.file)).tensors;
  }

  get names(): string[] {
    return [...this.tensors.keys()];
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  get(name: string): StoredTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new DataError(`${this.golden.file} has no tensor ${name}`);
    return tensor;
  }

  ruleFor(name: string): Rule {
    return this.golden.tolerance.tensors?.[name] ?? this.golden.tolerance.default;
  }
}
