import { type Op, recordOne, type Tensor } from '../graph.js';
import { elementCount, quadType, vec4s } from '../layout.js';

export const dropout2dOp: Op<{ p: number }> = {
  name: 'dropout2d',
  again: (node) => node,
  lower({ inputs: [x, mask], outputs: [y], attributes: { p } }, to) {
    const [, channels, h, w] = x.shape;
    const quads = vec4s(channels);
    const quadsOfImage = h * w * quads;
    for (const range of to.batches(x, mask, y)) {
      const count = range.count * quadsOfImage;
      to.dispatch({
        shader: 'dropout2d',
        constants: { Quad: quadType(x.dtype) },
        params: { count, quadsOfImage, quads, scale: 1 / (1 - p) },
        bindings: { x: to.images(x, range), mask: to.images(mask, range), y: to.images(y, range) },
        workgroups: to.flat(count),
      });
    }
  },
  // dx = dy * mask / (1 - p); the mask is drawn, not computed from anything
  gradient: ({ inputs: [, mask], attributes }, [dy]) => [dropout2d(dy!, mask, attributes.p), undefined],
};

/** [seed] to [mask]. */
export const dropoutMaskOp: Op<{ p: number; stream: number }> = {
  name: 'dropoutMask',
  lower({ inputs: [seed], outputs: [mask], attributes: { p, stream } }, to) {
    const [, channels] = mask.shape;
    const quads = vec4s(channels);
    for (const range of to.batches(mask)) {
      const count = range.count * quads;
      to.dispatch({
        shader: 'dropoutMask',
        params: {
          count,
          quads,
          channels,
          firstImage: range.first,
          stream,
          seeds: elementCount(seed.shape),
          threshold: Math.min(Math.round(p * 2 ** 32), 2 ** 32 - 1),
        },
        bindings: { seed, mask: to.images(mask, range) },
        workgroups: to.flat(count),
      });
    }
  },
};

function checkProbability(op: string, p: number): void {
  if (!(p >= 0 && p < 1)) throw new Error(`${op}: p is ${p}; it is the share of channels that are dropped, 0 <= p < 1`);
}

/**
 * y = x * mask[n, c] / (1 - p): whole channels of x [N, C, H, W] are dropped, the others scaled so that the mean stays.
 * @param mask [N, C, 1, 1] of 0 and 1, where 1 keeps: from `dropoutMask`, or given
 * @throws Error when the mask has another shape, or p is not in [0, 1)
 */
export function dropout2d(x: Tensor, mask: Tensor, p: number): Tensor {
  checkProbability('dropout2d', p);
  const [n, c] = x.shape;
  if (x.layout !== 'image' || mask.layout !== 'image' || mask.shape.join() !== [n, c, 1, 1].join()) {
    throw new Error(
      `dropout2d: input ${x} and mask ${mask} do not fit; the mask of an image [N, C, H, W] is [N, C, 1, 1]`,
    );
  }
  return recordOne(dropout2dOp, [x, mask], { shape: x.shape, dtype: x.dtype }, { p });
}

/**
 * A mask [N, C, 1, 1] of 0 (with probability p) and 1 for `dropout2d`, drawn on the GPU: the element (n, c) is 1 where
 * `hashKeys(...seed, stream, n, c)` (engine/random.ts) is at least p * 2^32.
 * @param seed words, whatever a step's draw depends on: the run's seed and the step
 * @param stream tells the layers of a net apart
 * @throws Error when the seed is not words, p is not in [0, 1) or stream is no 32-bit number
 */
export function dropoutMask(seed: Tensor, [n, c]: readonly [number, number], p: number, stream: number): Tensor {
  checkProbability('dropoutMask', p);
  if (seed.layout !== 'words')
    throw new Error(`dropoutMask: seed ${seed} has layout ${seed.layout}; it has to be words`);
  if (stream >>> 0 !== stream) {
    throw new Error(`dropoutMask: stream is ${stream}; it is a whole number of 32 bits, 0 or more`);
  }
  return recordOne(dropoutMaskOp, [seed], { shape: [n, c, 1, 1] }, { p, stream });
}
