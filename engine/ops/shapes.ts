/** Shape rules that several ops share. */
import type { Tensor } from '../graph.js';

/** Channels of an image, or elements of a vector: the numbers that the last vec4f may hold pads after. */
export function channelsOf(op: string, x: Tensor): number {
  if (x.layout === 'image') return x.shape[1];
  if (x.layout === 'vector') return x.shape[0];
  throw new Error(`${op}: ${x} has the layout ${x.layout}; an image or a vector is needed`);
}

/** @throws Error unless x is an image, and has `channels` channels where that is given */
export function checkImage(op: string, x: Tensor, channels?: number): void {
  if (x.layout !== 'image') throw new Error(`${op}: ${x} has the layout ${x.layout}; an image is needed`);
  if (channels !== undefined && x.shape[1] !== channels) {
    throw new Error(`${op}: ${x} has ${x.shape[1]} channels; ${channels} needed`);
  }
}

/** @throws Error unless prediction and target are images of one shape */
export function checkPair(op: string, prediction: Tensor, target: Tensor): void {
  checkImage(op, prediction);
  checkImage(op, target);
  if (prediction.shape.join() !== target.shape.join()) {
    throw new Error(`${op}: prediction ${prediction} and target ${target} have different shapes`);
  }
}
