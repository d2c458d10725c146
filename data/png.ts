/** PNG files from arrays: masks, photos, and photos with their mask drawn over them. */
import { crc32, deflateSync } from 'node:zlib';
import { PNG } from 'pngjs';
import type { Photo } from './decode.js';

/** An 8-bit grey PNG of height x width values. */
export function encodeGreyPng(values: Uint8Array, height: number, width: number): Buffer {
  const png = new PNG({ width, height });
  png.data = Buffer.from(values.buffer, values.byteOffset, values.length);
  return PNG.sync.write(png, { colorType: 0, inputColorType: 0, inputHasAlpha: false });
}

/** An 8-bit RGB PNG. */
export function encodeRgbPng({ height, width, pixels }: Photo): Buffer {
  const png = new PNG({ width, height });
  png.data = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.length);
  return PNG.sync.write(png, { colorType: 2, inputColorType: 2, inputHasAlpha: false });
}

/** The mask as a PNG of 0 (background) and 255 (foreground: any value but 0). */
export function encodeMaskPng(mask: Uint8Array, height: number, width: number): Buffer {
  return encodeGreyPng(
    mask.map((value) => (value === 0 ? 0 : 255)),
    height,
    width,
  );
}

/**
 * An 8-bit PNG of height x width indices into a palette of (R, G, B, opacity), each of 0 to 255: pngjs writes none.
 * Source: the PNG specification, sections 5.3 and 11.
 */
export function encodeIndexedPng(
  indices: Uint8Array,
  height: number,
  width: number,
  palette: readonly (readonly [number, number, number, number])[],
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  // Each row begins with its filter: none.
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(indices.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('PLTE', Buffer.from(palette.flatMap(([red, green, blue]) => [red, green, blue]))),
    pngChunk('tRNS', Buffer.from(palette.map(([, , , opacity]) => opacity))),
    pngChunk('IDAT', deflateSync(rows)),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

const overlayColour = [255, 64, 32];
const overlayOpacity = 0.4;

/**
 * The photo with the foreground of the mask (height x width, any value but 0) tinted and its inner contour drawn in
 * full colour.
 * @param tint opacity of the tint; 0 leaves the contour alone
 */
export function drawOverlay(photo: Photo, mask: Uint8Array, tint = overlayOpacity): Photo {
  const { height, width } = photo;
  const pixels = photo.pixels.slice();
  const inside = (x: number, y: number) => x < 0 || y < 0 || x >= width || y >= height || mask[y * width + x] !== 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (mask[i] === 0) continue;
      const interior = inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1);
      const opacity = interior ? tint : 1;
      for (let c = 0; c < 3; c++) pixels[i * 3 + c] += Math.round(opacity * (overlayColour[c] - pixels[i * 3 + c]));
    }
  }
  return { height, width, pixels };
}
