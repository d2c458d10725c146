/**
 * Pictures from bytes. What a file is, is decided by its first bytes, never by its name: real data sets hold PNG files
 * named .jpg.
 */
import { crc32 } from 'node:zlib';
import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';
import { DecodeError } from './errors.js';

/** A photo: `pixels` holds height x width x (R, G, B), one byte each. */
export interface Photo {
  height: number;
  width: number;
  pixels: Uint8Array;
}

/**
 * A mask as the file stores it, before anything is read into its values. `values` holds height x width numbers: grey
 * levels, palette indices, or 24-bit R << 16 | G << 8 | B when `kind` is colour. A grey file of another depth than 8
 * bits has its largest level given as 255, so that black and white are 0 and 255 at any depth.
 */
export interface MaskFile {
  height: number;
  width: number;
  kind: 'grey' | 'palette' | 'colour';
  jpeg: boolean;
  values: Uint32Array;
}

const maxMegapixels = 100;
// A 50 megapixel photo takes about 0.7 GB in jpeg-js, which keeps every coefficient as 32 bits.
const maxDecodeMegabytes = 2048;

const signatures: [type: string, offset: number, bytes: string][] = [
  ['JPEG', 0, '\xff\xd8\xff'],
  ['PNG', 0, '\x89PNG\r\n\x1a\n'],
  ['GIF', 0, 'GIF8'],
  ['WebP', 8, 'WEBP'],
  ['BMP', 0, 'BM'],
  ['TIFF', 0, 'II*\0'],
  ['TIFF', 0, 'MM\0*'],
  ['HEIC or AVIF', 4, 'ftyp'],
  ['PDF', 0, '%PDF'],
  ['Git LFS pointer', 0, 'version https://git-lfs'],
  ['HTML', 0, '<!DOCTYPE'],
  ['HTML', 0, '<html'],
];

/** The file type that the first bytes say, or undefined when they say none that is known here. */
export function fileType(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 32)).toString('latin1');
  return signatures.find(([, offset, signature]) => start.startsWith(signature, offset))?.[0];
}

/** Decodes a JPEG or PNG photo to RGB; an alpha channel is dropped. Throws DecodeError naming `file`. */
export function decodePhoto(bytes: Uint8Array, file: string): Photo {
  if (supportedType(bytes, file) === 'JPEG') return decodeJpeg(bytes, file);
  const png = decodePng(withoutTransparency(bytes, false), false, file);
  const pixels = new Uint8Array(png.width * png.height * 3);
  for (let from = 0, to = 0; to < pixels.length; from += 4, to += 3) {
    pixels[to] = png.data[from];
    pixels[to + 1] = png.data[from + 1];
    pixels[to + 2] = png.data[from + 2];
  }
  return { height: png.height, width: png.width, pixels };
}

/**
 * Decodes a PNG or JPEG mask to the values it stores; of a palette PNG these are the indices. Throws DecodeError naming
 * `file`.
 */
export function decodeMask(bytes: Uint8Array, file: string): MaskFile {
  if (supportedType(bytes, file) === 'JPEG') {
    const { height, width, pixels } = decodeJpeg(bytes, file);
    return { height, width, jpeg: true, ...greyOrColour(pixels, 3) };
  }
  const palette = bytes.length > 25 && bytes[25] === pngPalette;
  const png = decodePng(withoutTransparency(bytes, true), true, file);
  const { height, width } = png;
  const result = greyOrColour(png.data, 4);
  if (palette) return { height, width, jpeg: false, kind: 'palette', values: result.values };
  if (png.depth !== 8) {
    const largest = 2 ** png.depth - 1;
    result.values.forEach((value, i) => {
      if (value === largest) result.values[i] = 255;
    });
  }
  return { height, width, jpeg: false, ...result };
}

/**
 * One value a pixel when red, green and blue agree everywhere, else 24-bit colours. `channels` is 3 or 4; a fourth is
 * left aside.
 */
function greyOrColour(data: Uint8Array | Uint16Array, channels: 3 | 4): Pick<MaskFile, 'kind' | 'values'> {
  const values = new Uint32Array(data.length / channels);
  let grey = true;
  for (let i = 0, at = 0; i < values.length; i++, at += channels) {
    values[i] = data[at];
    if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) grey = false;
  }
  if (grey) return { kind: 'grey', values };
  const shift = data instanceof Uint16Array ? 8 : 0;
  for (let i = 0, at = 0; i < values.length; i++, at += channels) {
    values[i] = ((data[at] >> shift) << 16) | ((data[at + 1] >> shift) << 8) | (data[at + 2] >> shift);
  }
  return { kind: 'colour', values };
}

function supportedType(bytes: Uint8Array, file: string): 'JPEG' | 'PNG' {
  if (bytes.length === 0) throw new DecodeError(file, 'is empty');
  const type = fileType(bytes);
  if (type === 'JPEG' || type === 'PNG') return type;
  throw new DecodeError(file, type ? `is a ${type} file, not JPEG or PNG` : 'is neither JPEG nor PNG');
}

function decodeJpeg(bytes: Uint8Array, file: string): Photo {
  try {
    const options = { maxResolutionInMP: maxMegapixels, maxMemoryUsageInMB: maxDecodeMegabytes };
    const decoded = jpeg.decode(bytes, { ...options, useTArray: true, formatAsRGBA: false, tolerantDecoding: false });
    if (decoded.width === 0 || decoded.height === 0) throw new Error('it has no pixels');
    return { height: decoded.height, width: decoded.width, pixels: decoded.data };
  } catch (error) {
    throw new DecodeError(file, `is a damaged or unsupported JPEG file (${(error as Error).message})`);
  }
}

const pngPalette = 3;
const pngSignatureBytes = 8;

/** pngjs keeps the bit depth and, for 16 bits without rescaling, a Uint16Array; its types say neither. */
interface DecodedPng {
  width: number;
  height: number;
  depth: number;
  data: Uint8Array | Uint16Array;
}

function decodePng(bytes: Uint8Array, raw: boolean, file: string): DecodedPng {
  try {
    const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (bytes.length < 33) throw new Error('it ends inside its header');
    const pixels = header.readUInt32BE(16) * header.readUInt32BE(20);
    if (pixels === 0) throw new Error('it has no pixels');
    if (pixels > maxMegapixels * 1e6)
      throw new Error(`it has ${Math.ceil(pixels / 1e6)} of at most ${maxMegapixels} megapixels`);
    const decoded: unknown = PNG.sync.read(header, { skipRescale: raw } as object);
    return decoded as DecodedPng;
  } catch (error) {
    throw new DecodeError(file, `is a damaged or unsupported PNG file (${(error as Error).message})`);
  }
}

/**
 * The same PNG without its transparency chunk where pngjs would blacken the pixels of the transparent colour. With
 * `indices` a palette file becomes a grey one of the same data, so that decoding gives the palette indices instead of
 * the colours.
 */
function withoutTransparency(bytes: Uint8Array, indices: boolean): Uint8Array {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const palette = source[25] === pngPalette;
  if (palette && !indices) return source;
  const parts: Uint8Array[] = [source.subarray(0, pngSignatureBytes)];
  for (let at = pngSignatureBytes; at < source.length;) {
    // A chunk is length, type, data, checksum: 12 bytes and its data. What is cut off is passed on for pngjs to refuse.
    const end = at + 8 <= source.length ? at + 12 + source.readUInt32BE(at) : source.length;
    const type = source.toString('latin1', at + 4, at + 8);
    let chunk = source.subarray(at, end);
    if (palette && type === 'IHDR' && chunk.length === 25) {
      chunk = Buffer.from(chunk);
      chunk[17] = 0;
      chunk.writeUInt32BE(crc32(chunk.subarray(4, 21)), 21);
    }
    if (type !== 'tRNS' && !(palette && type === 'PLTE')) parts.push(chunk);
    at = end;
  }
  return Buffer.concat(parts);
}
