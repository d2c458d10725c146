import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32, deflateSync } from 'node:zlib';
import { decodeMask, decodePhoto, fileType } from '../../data/decode.js';
import { drawOverlay, encodeMaskPng } from '../../data/png.js';
import { dataError, gif, jpegPhoto, pngMask, pngPhoto, somePixels } from '../helpers/data.js';

const test = suite('data/decode');

/** A PNG of one row in any format that pngjs does not write; `chunks` come between IHDR and IDAT. */
function rawPng(
  width: number,
  depth: number,
  colourType: number,
  row: number[],
  chunks: [string, number[]][] = [],
): Buffer {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(1, 4);
  header.set([depth, colourType], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    ...chunks.map(([type, data]) => chunk(type, Uint8Array.from(data))),
    chunk('IDAT', deflateSync(Uint8Array.from([0, ...row]))),
    chunk('IEND', new Uint8Array()),
  ]);
}

test('the first bytes say the type', () => {
  assert.is(fileType(gif), 'GIF');
  assert.is(fileType(jpegPhoto(2, 2)), 'JPEG');
  assert.is(fileType(pngPhoto(2, 2)), 'PNG');
  assert.is(fileType(Buffer.from('RIFF\x10\0\0\0WEBPVP8 ', 'latin1')), 'WebP');
  assert.is(fileType(Buffer.from('hello')), undefined);
});

test('a PNG photo is read exactly, whatever its name', () => {
  const photo = decodePhoto(pngPhoto(4, 6), 'x.jpg');
  assert.equal([photo.height, photo.width], [4, 6]);
  assert.equal([...photo.pixels], [...somePixels(4, 6)]);
});

test('a JPEG photo has its colour', () => {
  const photo = decodePhoto(jpegPhoto(9, 17, [200, 100, 50]), 'x.png');
  assert.equal([photo.height, photo.width, photo.pixels.length], [9, 17, 9 * 17 * 3]);
  [200, 100, 50].forEach((value, c) => assert.ok(Math.abs(photo.pixels[c] - value) <= 3));
});

test('palette, alpha and 16 bit photos become RGB', () => {
  const palette = rawPng(
    2,
    8,
    3,
    [1, 0],
    [
      ['PLTE', [1, 2, 3, 200, 100, 50]],
      ['tRNS', [0]],
    ],
  );
  assert.equal([...decodePhoto(palette, 'p').pixels], [200, 100, 50, 1, 2, 3]);
  assert.equal([...decodePhoto(rawPng(1, 8, 6, [9, 8, 7, 0]), 'a').pixels], [9, 8, 7]);
  assert.equal([...decodePhoto(rawPng(1, 16, 0, [255, 255]), 'b').pixels], [255, 255, 255]);
  const transparentColour = rawPng(1, 8, 2, [9, 8, 7], [['tRNS', [0, 9, 0, 8, 0, 7]]]);
  assert.equal([...decodePhoto(transparentColour, 'c').pixels], [9, 8, 7]);
});

test('what is no picture is named with what it is', async () => {
  assert.is(await dataError(() => decodePhoto(gif, 'a/cat.jpg')), 'a/cat.jpg is a GIF file, not JPEG or PNG');
  assert.is(await dataError(() => decodePhoto(new Uint8Array(), 'a.jpg')), 'a.jpg is empty');
  assert.is(await dataError(() => decodePhoto(Buffer.from('hello'), 'a.jpg')), 'a.jpg is neither JPEG nor PNG');
});

test('cut-off files are damaged wherever they end', async () => {
  const noisy = pngPhoto(32, 32);
  const photo = jpegPhoto(64, 64);
  for (const share of [0.1, 0.5, 0.9]) {
    const png = await dataError(() => decodePhoto(noisy.subarray(0, noisy.length * share), 'p.png'));
    assert.match(png, /^p\.png is a damaged or unsupported PNG/);
    const jpg = await dataError(() => decodePhoto(photo.subarray(0, photo.length * share), 'p.jpg'));
    assert.match(jpg, /^p\.jpg is a damaged or unsupported JPEG/);
  }
  assert.match(await dataError(() => decodeMask(noisy.subarray(0, 40), 'm.png')), /damaged/);
});

test('a PNG with a wrong checksum or absurd size is refused', async () => {
  const bytes = Buffer.from(pngPhoto(8, 8));
  bytes[45] ^= 1;
  assert.match(await dataError(() => decodePhoto(bytes, 'p.png')), /damaged/);
  const huge = Buffer.from(pngPhoto(8, 8));
  huge.writeUInt32BE(1e6, 16);
  huge.writeUInt32BE(1e6, 20);
  assert.match(await dataError(() => decodePhoto(huge, 'p.png')), /megapixels/);
});

test('masks give what the file stores', () => {
  const grey = decodeMask(pngMask(1, 4, [0, 7, 9, 255]), 'm');
  assert.equal([grey.kind, [...grey.values]], ['grey', [0, 7, 9, 255]]);
  const palette = decodeMask(
    rawPng(
      3,
      8,
      3,
      [1, 0, 1],
      [
        ['PLTE', [9, 9, 9, 9, 9, 9]],
        ['tRNS', [0]],
      ],
    ),
    'm',
  );
  assert.equal([palette.kind, [...palette.values]], ['palette', [1, 0, 1]]);
  const packed = decodeMask(rawPng(4, 2, 3, [0b00011000], [['PLTE', [0, 0, 0, 1, 1, 1, 2, 2, 2]]]), 'm');
  assert.equal([packed.kind, [...packed.values]], ['palette', [0, 1, 2, 0]]);
});

test('black and white are 0 and 255 at any depth and as RGB', () => {
  assert.equal([...decodeMask(rawPng(8, 1, 0, [0b10100000]), 'm').values], [255, 0, 255, 0, 0, 0, 0, 0]);
  assert.equal([...decodeMask(rawPng(2, 16, 0, [255, 255, 0, 1]), 'm').values], [255, 1]);
  const rgb = decodeMask(rawPng(2, 8, 2, [255, 255, 255, 0, 0, 0]), 'm');
  assert.equal([rgb.kind, [...rgb.values]], ['grey', [255, 0]]);
  const transparentWhite = decodeMask(rawPng(2, 8, 0, [255, 0], [['tRNS', [0, 255]]]), 'm');
  assert.equal([...transparentWhite.values], [255, 0]);
});

test('a colour mask is known as such', () => {
  const mask = decodeMask(rawPng(2, 8, 2, [255, 0, 0, 0, 0, 0]), 'm');
  assert.equal([mask.kind, [...mask.values]], ['colour', [0xff0000, 0]]);
});

test('a predicted mask is written as 0 and 255, an overlay leaves the background alone', () => {
  const mask = Uint8Array.of(0, 1, 2, 0);
  assert.equal([...decodeMask(encodeMaskPng(mask, 2, 2), 'm').values], [0, 255, 255, 0]);
  const pixels = somePixels(2, 2);
  const drawn = drawOverlay({ height: 2, width: 2, pixels }, mask).pixels;
  assert.equal([...drawn.subarray(0, 3)], [...pixels.subarray(0, 3)]);
  assert.equal([...drawn.subarray(9)], [...pixels.subarray(9)]);
  assert.not.equal([...drawn.subarray(3, 9)], [...pixels.subarray(3, 9)]);
});

test.run();
