/**
 * Training with f16 multiplies the loss, and so every gradient, by a scale: gradients of activations are often below 6e-8, which
 * f16 rounds to 0. The scale is a power of two, so that nothing is rounded by it, and finds its size itself: it doubles
 * after `INTERVAL` good steps in a row, and a step whose gradients overflow halves it and changes no weight.
 * Source: Micikevicius et al., "Mixed Precision Training", 2018; the numbers are those of `torch.amp.GradScaler`.
 *
 * As there, running statistics and learning-rate schedules go on in a skipped step. Other than there, Adam's count of steps
 * does, too: the host gives it, and hears of a skipped step only when the next one is under way.
 */
import type { Device } from './device.js';
import type { Graph, Tensor } from './graph.js';
import { lossScaleSeed, lossScaleUpdate } from './ops/lossScale.js';
import { type Variable, Variables } from './variables.js';

const FIRST = 65536;
const INTERVAL = 2000;
/** A net whose gradients are zeros would otherwise let the scale grow until it is infinite itself. */
const LARGEST = 2 ** 24;

export interface LossScaleState {
  scale: number;
  /** Good steps since the scale changed. */
  goodSteps: number;
  /** Steps of the run that changed no weight. */
  skippedSteps: number;
}

/** The scale of one training, on the adapter; the plans of all its graphs share it. */
export class LossScale {
  private readonly variables: Variables;
  private readonly state: Variable;

  constructor(
    device: Device,
    private readonly interval = INTERVAL,
  ) {
    this.variables = new Variables(device);
    this.state = this.variables.declare('loss scale', [3], 'vector', false, () => [FIRST, 0, 0]);
  }

  /** Goes on from where another training was. */
  restore({ scale, goodSteps, skippedSteps }: LossScaleState): void {
    this.variables.set(this.state, [scale, goodSteps, skippedSteps]);
  }

  /** The state as a tensor of a graph, to read from its plan, and what was read. */
  tensor(graph: Graph): Tensor {
    return graph.read(this.state);
  }

  static read([scale, goodSteps, skippedSteps]: Float32Array): LossScaleState {
    return { scale, goodSteps, skippedSteps };
  }

  /** The seed of differentiation: `one` times the scale. */
  seed(one: Tensor): Tensor {
    return lossScaleSeed(one, this.state);
  }

  /** Records the scale's own step; see `lossScaleUpdate`. */
  update(squares: Tensor): Tensor {
    return lossScaleUpdate(squares, this.state, { interval: this.interval, largest: LARGEST });
  }

  destroy(): void {
    this.variables.destroy();
  }
}
