/** Pictures in rows with their names and scores, as one PNG. */
import { FONT } from './chart.js';
import { escapeHtml } from './html.js';
import { INK, MUTED } from './palette.js';
import { svgToPng } from './raster.js';

/** Encoded JPEG or PNG files, laid over each other. */
export type Layers = readonly Buffer[];

export interface Sheet {
  title: string;
  /** Of the columns. */
  heads: readonly string[];
  rows: readonly { caption: string; cells: readonly Layers[] }[];
  /** Explained below the title. */
  legend: readonly { colour: string; text: string }[];
  /** Height and width of a picture in the sheet. */
  cell: number;
}

const GAP = 8;
const CAPTION = 22;

/** @returns a PNG, of the size that its cells add up to */
export function sheetPng(sheet: Sheet): Buffer {
  return svgToPng(sheetSvg(sheet), 1);
}

function sheetSvg({ title, heads, rows, legend, cell }: Sheet): string {
  const left = GAP;
  const top = 64 + (legend.length > 0 ? 22 : 0);
  const width = heads.length * (cell + GAP) + GAP;
  const rowHeight = cell + CAPTION + GAP;
  const height = top + rows.length * rowHeight;
  const text = (x: number, y: number, value: string, style = `font-size="13" fill="${INK}"`) =>
    `<text x="${x}" y="${y}" ${style}>${escapeHtml(value)}</text>`;
  let legendAt = left;
  const parts = [
    text(left, 26, title, `font-size="16" font-weight="bold" fill="${INK}"`),
    ...legend.map(({ colour, text: meaning }) => {
      const x = legendAt;
      legendAt += 40 + 8 * meaning.length;
      return `<rect x="${x}" y="38" width="13" height="13" fill="${colour}"/>${text(x + 19, 49, meaning)}`;
    }),
    ...heads.map((head, i) => text(left + i * (cell + GAP), top - 8, head, `font-size="13" fill="${MUTED}"`)),
    ...rows.flatMap(({ caption, cells }, row) => {
      const y = top + row * rowHeight;
      return [
        ...cells.flatMap((layers, column) =>
          layers.map((layer) => imageElement(layer, left + column * (cell + GAP), y, cell)),
        ),
        text(left, y + cell + 15, caption),
      ];
    }),
  ];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="${FONT}">` +
    `<rect width="${width}" height="${height}" fill="white"/>${parts.join('')}</svg>`
  );
}

const imageElement = (layer: Buffer, x: number, y: number, size: number): string =>
  `<image x="${x}" y="${y}" width="${size}" height="${size}" href="${dataUri(layer)}"/>`;

/** A picture within a document. */
export const dataUri = (picture: Buffer): string =>
  `data:image/${picture[0] === 0x89 ? 'png' : 'jpeg'};base64,${picture.toString('base64')}`;
