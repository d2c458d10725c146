/** What the values of mask files mean: counted file by file, decided over all files together. */
import type { MaskFile } from './decode.js';
import { DataError, plural } from './errors.js';

/** Values of a record's mask byte. */
export const background = 0;
export const foreground = 1;
export const border = 2;

/**
 * How often each value stands in a mask file; at most `maxValues` different ones are kept, which is far more than any
 * good mask has.
 */
export interface MaskValues {
  kind: MaskFile['kind'];
  jpeg: boolean;
  counts: [value: number, pixels: number][];
}

const maxValues = 256;

export function countValues({ kind, jpeg, values }: MaskFile): MaskValues {
  const counts = new Map<number, number>();
  for (let i = 0; i < values.length;) {
    const value = values[i];
    const start = i;
    while (i < values.length && values[i] === value) i++;
    const before = counts.get(value);
    if (before !== undefined || counts.size < maxValues) counts.set(value, (before ?? 0) + i - start);
  }
  return { kind, jpeg, counts: [...counts].sort(([a], [b]) => a - b) };
}

/** The mask byte for a trimap value: 1 pet, 2 background, 3 border; undefined for any other. */
export const trimapBytes: readonly (number | undefined)[] = [undefined, foreground, background, border];

/**
 * Decides over all masks of a data set that 0 is the background and the one other value the foreground, and says in a
 * line how they were read: {0,255}, {0,1} or a palette of two colours. Throws DataError with the values found, how
 * often, and a file that shows it.
 */
export function readBinaryMasks(masks: readonly { file: string; values: MaskValues }[]): string {
  const totals = new Map<string, number>();
  for (const { values } of masks) {
    for (const [value, pixels] of values.counts) {
      const label = valueLabel(value, values.kind);
      totals.set(label, (totals.get(label) ?? 0) + pixels);
    }
  }
  const only = (...allowed: string[]) => totals.size === allowed.length && allowed.every((label) => totals.has(label));
  if (only('0', '255')) return 'mask values {0, 255}: 0 background, 255 foreground';
  if (only('0', '1')) return 'mask values {0, 1}: 0 background, 1 foreground';
  const paletteOnly = masks.every(({ values }) => values.kind === 'palette');
  if (paletteOnly && totals.size === 2 && totals.has('0')) {
    const other = [...totals.keys()].find((label) => label !== '0');
    return `palette masks: index 0 background, index ${other} foreground`;
  }
  throw new DataError(unreadable(masks, totals));
}

function valueLabel(value: number, kind: MaskFile['kind']): string {
  return kind === 'colour' ? `(${value >> 16}, ${(value >> 8) & 255}, ${value & 255})` : String(value);
}

function unreadable(
  masks: readonly { file: string; values: MaskValues }[],
  totals: ReadonlyMap<string, number>,
): string {
  const shown = [...totals].sort(([, a], [, b]) => b - a).slice(0, 20);
  const list = shown.map(([label, pixels]) => `${label} (${plural(pixels, 'pixel')})`).join(', ');
  const more = totals.size > shown.length ? ` and ${totals.size - shown.length} more` : '';
  const expected = 'Expected {0, 255}, {0, 1} or a palette of two colours with index 0 as background';
  if (totals.size === 1) return `every mask holds the single value ${list}: there is nothing to learn. ${expected}`;
  const odd =
    masks.find(({ values }) => values.kind === 'colour' || values.counts.length > 2) ??
    masks.find(({ values }) => values.counts.some(([value]) => value !== 0 && value !== 1 && value !== 255)) ??
    masks.find(({ values }) => values.counts.some(([value]) => value === 1));
  const lossy = masks.some(({ values }) => values.jpeg) ? '. JPEG smears the values of a mask: save masks as PNG' : '';
  return `masks hold the values ${list}${more}${odd ? `, for example ${odd.file}` : ''}. ${expected}${lossy}`;
}
