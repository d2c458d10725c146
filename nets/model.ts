/** What the two steps of a run, training and evaluation, have in common: the model's settings, its inputs and its logits. */
import { augmentationFloats, type ImageStatistics } from '../engine/augmentation.js';
import type { Graph, Tensor } from '../engine/graph.js';
import type { Dtype } from '../engine/layout.js';
import { add } from '../engine/ops/add.js';
import { augmentImages, type Normalisation } from '../engine/ops/augmentImages.js';
import { cast } from '../engine/ops/cast.js';
import { channelSlice } from '../engine/ops/channelSlice.js';
import { scale } from '../engine/ops/scale.js';
import type { Initialisation, NetContext } from './context.js';
import { checkLossClasses, lossClasses, type LossName, type LossSettings, resolveLoss } from './losses.js';
import { buildNetwork, type NetworkName, networks } from './networks.js';

/** Red, green, blue of ImageNet's photos, as PyTorch's model zoo gives them, for values in 0 .. 1. */
export const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** What both steps have to agree on. */
export interface ModelSettings {
  net: NetworkName;
  baseWidth: number;
  /** Height and width of the images, pixels. */
  size: number;
  loss: LossName | LossSettings;
  /** Channels of the logits; what the loss works on (`lossClasses`) where it is not given. */
  classes?: number;
  seed: number;
  initialisation: Initialisation;
  /** Mean and standard deviation that the net's input is normalised with, for values in 0 .. 1. Default ImageNet's. */
  normalisation?: Normalisation;
  /** Mask bytes that are foreground, among 0, 1 (object) and 2 (border). Default 1 and 2. */
  foreground?: readonly number[];
  /** Mask bytes whose pixels neither the loss nor any count has. Default none. */
  ignored?: readonly number[];
  /** See `PlanOptions.fuse`. */
  fuse?: boolean;
  /**
   * How the net's activations and their gradients are stored. Weights, batch norm's statistics, losses and all sums are f32
   * either way; training with f16 has a dynamic loss scale (`engine/lossScale.ts`). Default f32.
   */
  precision?: Dtype;
}

/** Pixels of a batch: one u32 a pixel (bytes R, G, B, M), and the augmentation parameters of each image. */
export interface ImageInputs {
  pixels: Tensor;
  parameters: Tensor;
  image: Tensor;
  target: Tensor;
}

/**
 * Records the inputs of a batch, and the image (N, 3, size, size) and target (N, 1, size, size) that the kernels make of them.
 * @param statistics see `TrainingSettings.statistics`
 */
export function imageInputs(
  graph: Graph,
  batch: number,
  { size, normalisation = IMAGENET, foreground, ignored }: ModelSettings,
  statistics?: ImageStatistics,
): ImageInputs {
  const pixels = graph.input('pixels', [batch, size, size], 'words');
  const parameters = graph.input('augmentation', [batch, augmentationFloats, 1, 1]);
  const { image, mask } = augmentImages(pixels, parameters, { ...normalisation, statistics, foreground, ignored });
  return { pixels, parameters, image, target: mask };
}

/** Whether pixels are left out of the loss and the counts. */
export const isIgnoring = ({ ignored = [] }: ModelSettings): boolean => ignored.length > 0;

/**
 * Records the net in the precision of the settings.
 * @returns logits (N, classes, H, W), f32
 * @throws SettingsError when loss and classes do not fit each other
 */
export function recordNetwork(net: NetContext, image: Tensor, settings: ModelSettings): Tensor {
  const loss = resolveLoss(settings.loss);
  const { classes = lossClasses(loss.name), precision = 'f32' } = settings;
  checkLossClasses(loss, classes);
  const options = { width: settings.baseWidth, classes };
  return cast(buildNetwork(net, cast(image, precision), networks[settings.net], options), 'f32');
}

/** One logit a pixel: of two classes the second one's over the first one's, so that softmax becomes a sigmoid. */
export function foregroundLogits(logits: Tensor): Tensor {
  if (logits.shape[1] === 1) return logits;
  return add(channelSlice(logits, 1, 1), scale(channelSlice(logits, 0, 1), -1));
}

/** A graph and what is read from its plan. */
export interface Recorded {
  graph: Graph;
  outputs: readonly Tensor[];
}
