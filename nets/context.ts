import type { Graph, Tensor } from '../engine/graph.js';
import type { Layout, Shape } from '../engine/layout.js';
import { Random } from '../engine/random.js';
import type { Variable, Variables } from '../engine/variables.js';

/** `pytorch`: what torch.nn gives each layer; `he`: normal with variance 2 / fan_out for convolutions (report 2). */
export type Initialisation = 'pytorch' | 'he';

/** Where a net is built: a graph to record in and variables to find or declare by name. */
export class NetContext {
  private prefix = '';

  constructor(
    readonly graph: Graph,
    readonly variables: Variables,
    /** Batch statistics and dropout, or running statistics and none. */
    readonly training: boolean,
    private readonly seed: number,
    private readonly initialisation: Initialisation = 'pytorch',
    /** Mask (N, C, 1, 1) for the dropout at the bottom, of ones and zeros; asked for only while training. */
    readonly dropoutMask?: (channels: number, p: number) => Tensor,
  ) {}

  /** Names declared and recorded by `build` begin with `name.`. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.prefix;
    this.prefix = `${outer}${name}.`;
    try {
      return this.graph.scope(name, build);
    } finally {
      this.prefix = outer;
    }
  }

  /**
   * A convolution's weight. PyTorch's default is uniform within 1/sqrt(fan_in) (kaiming_uniform with a = sqrt(5)); fan_in
   * counts the second size of the weight, for transposed convolutions too.
   */
  weight(name: string, shape: Shape, layout: 'filter' | 'transposedFilter'): Tensor {
    const taps = shape[2] * shape[3];
    if (this.initialisation === 'he' && layout === 'filter') {
      const deviation = Math.sqrt(2 / (shape[0] * taps));
      return this.parameter(name, shape, layout, (random) => deviation * random.normal());
    }
    const bound = 1 / Math.sqrt(shape[1] * taps);
    return this.parameter(name, shape, layout, (random) => random.uniform(-bound, bound));
  }

  /** A convolution's bias, uniform within 1/sqrt(fan_in) of its weight. */
  bias(name: string, channels: number, weight: Shape): Tensor {
    const bound = 1 / Math.sqrt(weight[1] * weight[2] * weight[3]);
    return this.parameter(name, [channels], 'vector', (random) => random.uniform(-bound, bound));
  }

  /** A trained vector that starts with one value everywhere. */
  constant(name: string, channels: number, value: number): Tensor {
    return this.parameter(name, [channels], 'vector', () => value);
  }

  /** A vector that is kept but not trained: running statistics. */
  buffer(name: string, channels: number, value: number): Variable {
    return this.declare(name, [channels], 'vector', false, () => value);
  }

  private parameter(name: string, shape: Shape, layout: Layout, value: (random: Random) => number): Tensor {
    return this.graph.read(this.declare(name, shape, layout, true, value));
  }

  private declare(
    name: string,
    shape: Shape,
    layout: Layout,
    trainable: boolean,
    value: (random: Random) => number,
  ): Variable {
    const full = this.prefix + name;
    return this.variables.declare(full, shape, layout, trainable, () => {
      // One stream a name: a net that gains a layer keeps the other layers' weights.
      const random = new Random('weights', this.seed, full);
      const count = shape.reduce((product, size) => product * size, 1);
      return Float32Array.from({ length: count }, () => value(random));
    });
  }
}
