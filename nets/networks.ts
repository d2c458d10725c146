/** The networks by name: one line of settings each. The reports' structures are in the README's table. */
import type { Tensor } from '../engine/graph.js';
import type { NetContext } from './context.js';
import { resnetUNet, type ResNetUNetSettings } from './resnetUNet.js';
import { unet, type UNetSettings } from './unet.js';

export type NetworkSettings = UNetSettings | ResNetUNetSettings;

/** Decoder widths in units of the base width. */
const WIDE = [8, 4, 2, 1].map((out) => ({ up: out, out }));
const FLAT = [4, 2, 1, 1].map((out) => ({ up: out, out }));
const BILINEAR = [4, 2, 1, 0.5].map((out) => ({ up: 0, out }));

const RESNET = {
  family: 'resunet',
  stem: 'conv7',
  pool: '3x3',
  activation: 'after',
  bridge: 'none',
  deepestSkip: 3,
} as const;
const BRIDGED = {
  ...RESNET,
  activation: 'before',
  bridge: 'residual',
  decoder: WIDE,
  deepestSkip: 4,
  order: 'up,skip',
  tail: 'upNormTwice',
} as const;
const FLAT_STEM = {
  ...RESNET,
  stem: 'double',
  decoder: FLAT,
  order: 'up,skip',
  convBias: true,
  tail: 'norm',
} as const;

export const networks = {
  unet: { family: 'unet', up: 'transposed', order: 'skip,up' },
  'unet-bilinear': { family: 'unet', up: 'bilinear', order: 'skip,up', convBias: true },
  'unet-milesial': { family: 'unet', up: 'bilinear', order: 'skip,up', convBias: true, halvedBottom: true },
  'unet-milesial-convt': { family: 'unet', up: 'transposed', order: 'skip,up', convBias: true },
  'unet-dropout': { family: 'unet', up: 'transposed', order: 'up,skip', dropout: 0.1 },
  'unet-upfirst': { family: 'unet', up: 'transposed', order: 'up,skip' },
  'resnet34-unet': { ...RESNET, projectFirst: true, decoder: WIDE, order: 'up,skip', tail: 'up' },
  'resnet34-unet-bilinear': {
    ...RESNET,
    bridge: 'double',
    decoder: BILINEAR,
    order: 'skip,up',
    convBias: true,
    tail: 'resize',
  },
  'resnet34-unet-flatstem': { ...FLAT_STEM, pool: 'none' },
  'resnet34-unet-flatstem-pool': { ...FLAT_STEM, pool: '2x2' },
  'resnet34-unet-bridge-dropout': { ...BRIDGED, tailBias: false, dropout: 0.1 },
  'resnet34-unet-bridge': BRIDGED,
} as const satisfies Record<string, NetworkSettings>;

export type NetworkName = keyof typeof networks;

/** Least height and width of the images: one pixel has to be left at the bottom. */
export const leastSize = ({ family }: NetworkSettings): number => (family === 'unet' ? 16 : 32);

/**
 * Records a network.
 * @param x (N, C, H, W)
 * @returns logits (N, classes, H, W)
 * @throws Error when the image is too small for the network's five halvings
 */
export function buildNetwork(
  net: NetContext,
  x: Tensor,
  settings: NetworkSettings,
  { width, classes }: { width: number; classes: number },
): Tensor {
  const least = leastSize(settings);
  if (x.shape[2] < least || x.shape[3] < least) {
    throw new Error(
      `images of ${x.shape[2]}x${x.shape[3]} are too small for this network; it needs ${least}x${least} or more`,
    );
  }
  if (!Number.isInteger(width) || width < 2 || width % 2 !== 0) {
    throw new Error(`base width ${width}: it must be an even number of 2 or more`);
  }
  return settings.family === 'unet'
    ? unet(net, x, width, classes, settings)
    : resnetUNet(net, x, width, classes, settings);
}
