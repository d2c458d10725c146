/** Layers with their parameters, and the blocks that both nets are made of. Names are those of the golden states. */
import type { Tensor } from '../engine/graph.js';
import { add } from '../engine/ops/add.js';
import { batchNorm2d } from '../engine/ops/batchNorm2d.js';
import { concat } from '../engine/ops/concat.js';
import { conv2d } from '../engine/ops/conv2d.js';
import { convTranspose2d } from '../engine/ops/convTranspose2d.js';
import { pad2d } from '../engine/ops/pad2d.js';
import { relu } from '../engine/ops/relu.js';
import type { NetContext } from './context.js';

const channelsOf = (x: Tensor): number => x.shape[1];

/** `name.weight` and, with `bias`, `name.bias`; padding keeps the size at stride 1. */
export function conv(
  net: NetContext,
  name: string,
  x: Tensor,
  channels: number,
  { kernel = 3, stride = 1, bias = false }: { kernel?: number; stride?: number; bias?: boolean } = {},
): Tensor {
  return net.scope(name, () => {
    const shape = [channels, channelsOf(x), kernel, kernel];
    const weight = net.weight('weight', shape, 'filter');
    return conv2d(x, weight, bias ? net.bias('bias', channels, shape) : undefined, {
      stride,
      padding: (kernel - 1) >> 1,
    });
  });
}

/** Transposed convolution 2x2 with stride 2: twice the size. */
export function upConv(net: NetContext, name: string, x: Tensor, channels: number, bias = true): Tensor {
  return net.scope(name, () => {
    const shape = [channelsOf(x), channels, 2, 2];
    const weight = net.weight('weight', shape, 'transposedFilter');
    return convTranspose2d(x, weight, bias ? net.bias('bias', channels, shape) : undefined, {
      stride: 2,
      padding: 0,
      outputPadding: 0,
    });
  });
}

export function norm(net: NetContext, name: string, x: Tensor): Tensor {
  return net.scope(name, () => {
    const c = channelsOf(x);
    const weight = net.constant('weight', c, 1);
    const bias = net.constant('bias', c, 0);
    const running = { mean: net.buffer('running_mean', c, 0), variance: net.buffer('running_var', c, 1) };
    return batchNorm2d(x, weight, bias, running, { training: net.training, momentum: 0.1, eps: 1e-5 });
  });
}

/** conv3x3, BN, ReLU, conv3x3, BN, ReLU. */
export function double(
  net: NetContext,
  name: string,
  x: Tensor,
  channels: number,
  { middle = channels, bias = false }: { middle?: number; bias?: boolean } = {},
): Tensor {
  return net.scope(name, () => {
    const y = relu(norm(net, 'bn1', conv(net, 'conv1', x, middle, { bias })));
    return relu(norm(net, 'bn2', conv(net, 'conv2', y, channels, { bias })));
  });
}

/** Where a residual block has its last ReLU: `after` the addition, or on the branch `before` it. */
export type Activation = 'after' | 'before';

/** ResNet's basic block; the other branch is a 1x1 projection where stride or width changes, or where `project` asks for it. */
export function residual(
  net: NetContext,
  name: string,
  x: Tensor,
  channels: number,
  {
    stride = 1,
    activation = 'after',
    project = false,
  }: { stride?: number; activation?: Activation; project?: boolean } = {},
): Tensor {
  return net.scope(name, () => {
    const y = relu(norm(net, 'bn1', conv(net, 'conv1', x, channels, { stride })));
    const branch = norm(net, 'bn2', conv(net, 'conv2', y, channels));
    const projected = project || stride !== 1 || channels !== channelsOf(x);
    const skip = projected ? norm(net, 'skip_bn', conv(net, 'skip_conv', x, channels, { kernel: 1, stride })) : x;
    return activation === 'after' ? relu(add(branch, skip)) : add(relu(branch), skip);
  });
}

/** Zeros around `x`, or a crop, to `height` x `width`: floor(d/2) on the left and top, also where d is negative. */
export function fit(x: Tensor, height: number, width: number): Tensor {
  const dy = height - x.shape[2];
  const dx = width - x.shape[3];
  if (dx === 0 && dy === 0) return x;
  const left = Math.floor(dx / 2);
  const top = Math.floor(dy / 2);
  return pad2d(x, [left, dx - left, top, dy - top]);
}

/** Which of the two comes first in the channels of a concatenation. */
export type SkipOrder = 'skip,up' | 'up,skip';

/** The upsampled map, fitted to its skip's size, joined with it. */
export function join(up: Tensor, skip: Tensor, order: SkipOrder): Tensor {
  const fitted = fit(up, skip.shape[2], skip.shape[3]);
  return concat(order === 'skip,up' ? [skip, fitted] : [fitted, skip]);
}
