import type { Tensor } from '../engine/graph.js';
import { dropout2d } from '../engine/ops/dropout2d.js';
import { maxPool2d } from '../engine/ops/maxPool2d.js';
import { resizeBilinear } from '../engine/ops/resizeBilinear.js';
import { conv, double, join, type SkipOrder, upConv } from './blocks.js';
import type { NetContext } from './context.js';

/** What the reports' UNets differ in. */
export interface UNetSettings {
  family: 'unet';
  /** Transposed convolution to half the channels, or bilinear resizing. */
  up: 'transposed' | 'bilinear';
  /** The bottom has 8w instead of 16w channels, and the decoder's Doubles narrow in their middle. */
  halvedBottom?: boolean;
  convBias?: boolean;
  order: SkipOrder;
  /** Probability with which a channel of the bottom is dropped. */
  dropout?: number;
}

/**
 * UNet (Ronneberger, Fischer, Brox 2015) with batch norm and padded convolutions.
 * @param x (N, C, H, W), any H and W of 16 or more
 * @param width channels of the first level, w
 * @returns logits (N, classes, H, W)
 */
export function unet(net: NetContext, x: Tensor, width: number, classes: number, settings: UNetSettings): Tensor {
  const { up, order, halvedBottom = false, convBias: bias = false, dropout = 0 } = settings;
  const skips: Tensor[] = [];
  for (const level of [1, 2, 3, 4]) {
    const skip = double(net, `enc${level}`, x, width << (level - 1), { bias });
    skips.push(skip);
    x = maxPool2d(skip, { kernel: 2, stride: 2, padding: 0 });
  }
  x = double(net, 'bottom', x, (halvedBottom ? 8 : 16) * width, { bias });
  if (dropout > 0 && net.dropoutMask) x = dropout2d(x, net.dropoutMask(x.shape[1], dropout), dropout);
  for (const level of [4, 3, 2, 1]) {
    const skip = skips[level - 1];
    x = net.scope(`dec${level}`, () => {
      const [, channels, height, wide] = x.shape;
      return up === 'bilinear'
        ? resizeBilinear(x, [2 * height, 2 * wide], { alignCorners: true })
        : upConv(net, 'up', x, channels / 2);
    });
    x = join(x, skip, order);
    const out = skip.shape[1];
    const half = { bias, middle: x.shape[1] / 2 };
    x = double(net, `dec${level}`, x, halvedBottom ? Math.max(out / 2, width) : out, halvedBottom ? half : { bias });
  }
  return conv(net, 'head', x, classes, { kernel: 1, bias: true });
}
