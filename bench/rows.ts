/** Results as they are printed: a row is a JSON object a line, or a line of a table; and how two files of them compare. */
import { readFileSync } from 'node:fs';

/** A figure; all units are rates, so more is better. */
export interface Row {
  bench: 'kernels' | 'step' | 'data' | 'peers';
  work: string;
  shape: string;
  /** Which of several ways of doing the work: kernels, precision. */
  variant: string;
  /** Of the best round. */
  value: number;
  unit: 'GFLOP/s' | 'GB/s' | 'images/s';
  /** Of the median and the worst round. */
  median: number;
  worst: number;
  adapter: string;
  [more: string]: string | number | boolean | null | undefined;
}

export const round3 = (value: number): number => Number(value.toPrecision(3));

/** What makes two rows the same work. Older files do not say that they are f32. */
const keyOf = ({ bench, work, shape, variant, precision = 'f32' }: Row): string =>
  [bench, work, shape, variant, ...(precision === 'f32' ? [] : [precision])].join(' | ');

/** Columns of a table, under a line of their names, numbers to the right. */
export function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const right = rows[0].map((_, column) => rows.slice(1).every((row) => /^[-\d.e+%x]*$/.test(row[column])));
  return rows
    .map((row) =>
      row
        .map((text, column) => (right[column] ? text.padStart(widths[column]) : text.padEnd(widths[column])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const show = (value: Row[string]): string => (value === undefined || value === null ? '' : String(value));

/** A table of rows with the columns of these keys. */
export const rowTable = (rows: readonly Row[], keys: readonly string[]): string =>
  tableOf([keys, ...rows.map((row) => keys.map((key) => show(row[key])))]);

/**
 * Rows of a file that `--json` wrote.
 * @throws Error naming the line that is none
 */
export function readRows(path: string): Row[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      const row = JSON.parse(line) as Row;
      if (typeof row.work !== 'string' || !(row.median > 0)) throw new Error('it has no work or no median');
      return [row];
    } catch (error) {
      throw new Error(`${path}:${i + 1} is no line of trimap bench --json: ${(error as Error).message}`);
    }
  });
}

export interface Comparison {
  key: string;
  /** New median over old median; undefined where one of them is missing. */
  ratio?: number;
  before?: Row;
  after?: Row;
}

/** Every work of both, regressions first; what is only in one comes last. */
export function compareRows(before: readonly Row[], after: readonly Row[]): Comparison[] {
  const old = new Map(before.map((row) => [keyOf(row), row]));
  const compared: Comparison[] = after.map((row) => {
    const key = keyOf(row);
    const was = old.get(key);
    old.delete(key);
    return { key, ratio: was && row.median / was.median, before: was, after: row };
  });
  for (const [key, row] of old) compared.push({ key, before: row });
  return compared.sort((a, b) => (a.ratio ?? Infinity) - (b.ratio ?? Infinity) || (a.key < b.key ? -1 : 1));
}

export const comparisonTable = (compared: readonly Comparison[]): string =>
  tableOf([
    ['ratio', 'before', 'after', 'unit', 'work'],
    ...compared.map(({ key, ratio, before, after }) => [
      ratio === undefined ? '' : ratio.toFixed(2),
      show(before?.median),
      show(after?.median),
      (after ?? before)!.unit,
      ratio === undefined ? `${key} (${after ? 'only now' : 'only before'})` : key,
    ]),
  ]);
