import type { Tensor } from '../engine/graph.js';
import { dropout2d } from '../engine/ops/dropout2d.js';
import { maxPool2d } from '../engine/ops/maxPool2d.js';
import { relu } from '../engine/ops/relu.js';
import { resizeBilinear } from '../engine/ops/resizeBilinear.js';
import { type Activation, conv, double, fit, join, norm, residual, type SkipOrder, upConv } from './blocks.js';
import type { NetContext } from './context.js';

/** What the reports' ResNet34-UNets differ in. */
export interface ResNetUNetSettings {
  family: 'resunet';
  /** A 7x7 convolution with stride 2, or a Double at full size. */
  stem: 'conv7' | 'double';
  /** Max-pool between stem and stages. */
  pool: '3x3' | '2x2' | 'none';
  activation: Activation;
  /** The first block of stage 1 has a projection, too. */
  projectFirst?: boolean;
  bridge: 'none' | 'double' | 'residual';
  /** Channels of each decoder level from the deepest up, in units of the base width; `up` 0 is bilinear resizing. */
  decoder: readonly { up: number; out: number }[];
  /** The deepest skip: stage 3, or stage 4 under a residual bridge. */
  deepestSkip: 3 | 4;
  order: SkipOrder;
  convBias?: boolean;
  /** Between decoder and logits: a last 2x2 transposed convolution, two of them with BN, resizing, or BN on the logits. */
  tail: 'up' | 'upNormTwice' | 'resize' | 'norm';
  tailBias?: boolean;
  dropout?: number;
}

const BLOCKS = [3, 4, 6, 3];

/**
 * A UNet whose encoder is ResNet34 (He, Zhang, Ren, Sun 2015).
 * @param x (N, C, H, W), any H and W of 32 or more
 * @param width channels of the first stage, w
 * @returns logits (N, classes, H, W)
 */
export function resnetUNet(
  net: NetContext,
  x: Tensor,
  width: number,
  classes: number,
  settings: ResNetUNetSettings,
): Tensor {
  const [, , height, wide] = x.shape;
  const { order, activation, convBias: bias = false, dropout = 0 } = settings;

  // Skips f0 (the stem's output, before the pool) to f4.
  const skips = [stem(net, x, width, settings.stem)];
  x = pool(skips[0], settings.pool);
  BLOCKS.forEach((count, stage) => {
    net.scope(`stage${stage + 1}`, () => {
      for (let block = 0; block < count; block++) {
        const first = block === 0;
        x = residual(net, String(block), x, width << stage, {
          stride: first && stage > 0 ? 2 : 1,
          project: first && stage === 0 && settings.projectFirst,
          activation,
        });
      }
    });
    skips.push(x);
  });

  if (settings.bridge === 'double') x = double(net, 'bridge', x, 8 * width, { bias });
  if (settings.bridge === 'residual') x = residual(net, 'bridge', x, 16 * width, { stride: 2, activation });
  if (dropout > 0 && net.dropoutMask) x = dropout2d(x, net.dropoutMask(x.shape[1], dropout), dropout);

  settings.decoder.forEach(({ up, out }, i) => {
    const name = `dec${4 - i}`;
    const raised =
      up === 0
        ? resizeBilinear(x, [2 * x.shape[2], 2 * x.shape[3]], { alignCorners: true })
        : net.scope(name, () => upConv(net, 'up', x, up * width));
    x = double(net, name, join(raised, skips[settings.deepestSkip - i], order), out * width, { bias });
  });
  return tail(net, x, width, classes, [height, wide], settings);
}

function stem(net: NetContext, x: Tensor, width: number, kind: ResNetUNetSettings['stem']): Tensor {
  if (kind === 'double') return double(net, 'stem', x, width);
  return relu(norm(net, 'stem_bn', conv(net, 'stem_conv', x, width, { kernel: 7, stride: 2 })));
}

function pool(x: Tensor, kind: ResNetUNetSettings['pool']): Tensor {
  if (kind === 'none') return x;
  return maxPool2d(x, kind === '2x2' ? { kernel: 2, stride: 2, padding: 0 } : { kernel: 3, stride: 2, padding: 1 });
}

function tail(
  net: NetContext,
  x: Tensor,
  width: number,
  classes: number,
  [height, wide]: readonly [number, number],
  { tail: kind, tailBias = true }: ResNetUNetSettings,
): Tensor {
  if (kind === 'up') x = upConv(net, 'tail_up', x, width / 2);
  if (kind === 'resize') x = resizeBilinear(x, [height, wide], { alignCorners: true });
  if (kind === 'upNormTwice') {
    for (const i of [1, 2]) x = relu(norm(net, `tail_bn${i}`, upConv(net, `tail_up${i}`, x, width, tailBias)));
  }
  const logits = conv(net, 'head', fit(x, height, wide), classes, { kernel: 1, bias: true });
  return kind === 'norm' ? norm(net, 'head_bn', logits) : logits;
}
