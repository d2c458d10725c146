/** JPEG files from photos. */
import jpeg from 'jpeg-js';
import type { Photo } from './decode.js';

/** @param quality 1 to 100, as the usual encoders count */
export function encodeJpeg({ height, width, pixels }: Photo, quality: number): Buffer {
  const data = Buffer.alloc(height * width * 4, 255);
  for (let i = 0; i < height * width; i++) data.set(pixels.subarray(i * 3, i * 3 + 3), i * 4);
  return jpeg.encode({ height, width, data }, quality).data;
}
