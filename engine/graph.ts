/**
 * The record of one step: ops append nodes, each with static shapes, to the graph that their inputs belong to.
 * Reverse-mode differentiation (`autograd.ts`) appends to the same graph; a `Plan` executes it. Nothing runs here.
 */
import { byteLength, checkShape, type Dtype, type Layout, type Shape } from './layout.js';
import type { Lowering } from './lowering.js';
import type { Variable } from './variables.js';

/** A value of the step: a description, no memory. The plan decides where it lives. */
export class Tensor {
  /** Where the value comes from: a node's output, a variable's present value, or (neither) the host. */
  producer?: Node;
  variable?: Variable;
  /** Set by an optimizer: the value has to be written into this variable's place in the arena of gradients. */
  gradientOf?: Variable;

  constructor(
    readonly graph: Graph,
    readonly id: number,
    readonly shape: Shape,
    readonly layout: Layout,
    readonly name: string,
    readonly dtype: Dtype = 'f32',
  ) {}

  /** On the GPU. */
  get bytes(): number {
    return byteLength(this.shape, this.layout, this.dtype);
  }

  toString(): string {
    return `${this.name} [${this.shape.join(', ')}]${this.dtype === 'f16' ? ' f16' : ''}`;
  }
}

/** One recorded call of an op. */
export interface Node<Attributes = unknown> {
  readonly op: Op<Attributes>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: Attributes;
}

/**
 * What the engine has to know of an op. Its shape rule stands in the function that records it, so a wrong shape is an
 * error at the line that wrote it.
 */
export interface Op<Attributes = unknown> {
  readonly name: string;
  /** Turns a node into dispatches. */
  lower(node: Node<Attributes>, to: Lowering): void;
  /**
   * The gradient for each input, recorded with ops; undefined where there is none.
   * @param outputGradients one for each output; undefined where nothing depends on that output
   * @param wanted which inputs' gradients anyone will use; others need not be made
   */
  gradient?(
    node: Node<Attributes>,
    outputGradients: readonly (Tensor | undefined)[],
    wanted: readonly boolean[],
  ): (Tensor | undefined)[];
  /**
   * The call that computes the first output once more, from inputs and other outputs, and changes nothing. Only ops have it
   * that are cheap next to a convolution; undefined where a call is not.
   */
  again?(node: Node<Attributes>): Pick<Node, 'op' | 'inputs' | 'attributes'> | undefined;
  /** The op changes a variable, so it stays in the plan although nobody reads an output. */
  readonly effect?: boolean;
}

export interface TensorSpec {
  shape: Shape;
  layout?: Layout;
  /** Default f32. */
  dtype?: Dtype;
  /** Defaults to the op's name. */
  name?: string;
}

export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs: Tensor[] = [];
  private readonly variables = new Map<Variable, Tensor>();
  /** Tensors from this id on belong to gradients; undefined before any are recorded. */
  firstGradient?: number;
  private count = 0;
  private prefix = '';

  /** Names recorded by `build` begin with `name.`; for memory reports and messages. */
  scope<T>(name: string, build: () => T): T {
    const outer = this.prefix;
    this.prefix = `${outer}${name}.`;
    try {
      return build();
    } finally {
      this.prefix = outer;
    }
  }

  /** A value that the host writes before a step (`plan.write`). It keeps its value until written again. */
  input(name: string, shape: Shape, layout: Layout = 'image', dtype: Dtype = 'f32'): Tensor {
    const tensor = this.tensor({ name, shape, layout, dtype });
    this.inputs.push(tensor);
    return tensor;
  }

  /** The present value of a variable, one tensor a graph. */
  read(variable: Variable): Tensor {
    let tensor = this.variables.get(variable);
    if (!tensor) {
      tensor = this.tensor(variable);
      tensor.variable = variable;
      this.variables.set(variable, tensor);
    }
    return tensor;
  }

  /** Appends a node. Ops call this after they have checked shapes. */
  record<Attributes>(
    op: Op<Attributes>,
    inputs: readonly Tensor[],
    outputs: readonly TensorSpec[],
    attributes: Attributes,
  ): Tensor[] {
    for (const input of inputs) {
      if (input.graph !== this) throw new Error(`${op.name}: ${input} belongs to another graph`);
    }
    const made = outputs.map((spec) => this.tensor({ ...spec, name: `${this.prefix}${spec.name ?? op.name}` }));
    const node: Node<Attributes> = { op, inputs, outputs: made, attributes };
    for (const tensor of made) tensor.producer = node as Node;
    this.nodes.push(node as Node);
    return made;
  }

  /** Says that what is recorded from now on is the backward pass. */
  beginGradients(): void {
    this.firstGradient ??= this.count;
  }

  private tensor(spec: { shape: Shape; layout?: Layout; dtype?: Dtype; name: string }): Tensor {
    const layout = spec.layout ?? 'image';
    checkShape(spec.name, spec.shape, layout);
    return new Tensor(this, this.count++, spec.shape, layout, spec.name, spec.dtype);
  }
}

/** Records an op with one output and gives that output. */
export function recordOne<Attributes>(
  op: Op<Attributes>,
  inputs: readonly Tensor[],
  output: TensorSpec,
  attributes: Attributes,
): Tensor {
  return inputs[0].graph.record(op, inputs, [output], attributes)[0];
}
