/** Prediction against truth, pixel by pixel, and how pictures show it. */
import { decodeMask } from '../../data/decode.js';
import { encodeIndexedPng } from '../../data/png.js';
import { borderBytes } from '../border.js';
import type { Border } from '../settings.js';
import { SKY, YELLOW } from './palette.js';

/** What a pixel is. The numbers are palette indices of the files in a run's `pictures/`. */
export const BACKGROUND = 0;
export const HIT = 1;
export const MISSED = 2;
export const FALSE = 3;
export const IGNORED = 4;

export interface ComparedMask {
  height: number;
  width: number;
  /** height x width of the numbers above. */
  classes: Uint8Array;
}

/**
 * @param record height x width x (R, G, B, mask byte)
 * @param logits height x width
 * @param threshold logit above which a pixel is foreground
 */
export function compareMasks(
  record: Uint8Array,
  logits: Float32Array,
  [height, width]: readonly [number, number],
  border: Border,
  threshold = 0,
): ComparedMask {
  const { foreground, ignored } = borderBytes[border];
  const classes = Uint8Array.from(logits, (logit, i) => {
    const byte = record[i * 4 + 3];
    if (ignored.includes(byte)) return IGNORED;
    const predicted = logit > threshold;
    if (foreground.includes(byte)) return predicted ? HIT : MISSED;
    return predicted ? FALSE : BACKGROUND;
  });
  return { height, width, classes };
}

/** What is laid over a photo. */
export type View = 'truth' | 'prediction' | 'difference';
export const VIEWS: readonly View[] = ['truth', 'prediction', 'difference'];

type Colour = readonly [red: number, green: number, blue: number, opacity: number];

const CLEAR: Colour = [0, 0, 0, 0];
const SHADE: Colour = [0, 0, 0, 130];
const TINT: Colour = [255, 64, 32, 115];
const GREY: Colour = [128, 128, 128, 150];
const opaque = (hex: string): Colour => [...Buffer.from(hex.slice(1), 'hex'), 230] as unknown as Colour;

/**
 * Colours by class. The difference darkens what both leave out, so that what was found stands out; its yellow and blue
 * differ for every eye, and few animals have them.
 */
const PALETTES: Record<View, readonly Colour[]> = {
  truth: [CLEAR, TINT, TINT, CLEAR, GREY],
  prediction: [CLEAR, TINT, CLEAR, TINT, GREY],
  difference: [SHADE, CLEAR, opaque(YELLOW), opaque(SKY), GREY],
};

/** The two colours of the difference, for a legend. */
export const LEGEND = [
  { colour: YELLOW, text: 'missed' },
  { colour: SKY, text: 'false' },
] as const;

/** A PNG to be laid over the photo. */
export const overlayPng = ({ height, width, classes }: ComparedMask, view: View): Buffer =>
  encodeIndexedPng(classes, height, width, PALETTES[view]);

/** What `overlayPng` was made from, whichever the view. @throws DecodeError naming `file` */
export function readOverlay(png: Uint8Array, file: string): ComparedMask {
  const { height, width, values } = decodeMask(png, file);
  return { height, width, classes: Uint8Array.from(values) };
}
