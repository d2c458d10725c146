import type { Node, Op, Tensor } from './graph.js';

/** Who reads a tensor. */
export class Uses {
  private readonly readers = new Map<Tensor, Node[]>();
  private readonly kept: ReadonlySet<Tensor>;

  constructor(nodes: readonly Node[], outputs: readonly Tensor[]) {
    this.kept = new Set(outputs);
    for (const node of nodes) {
      for (const input of new Set(node.inputs)) {
        const known = this.readers.get(input);
        if (known) known.push(node);
        else this.readers.set(input, [node]);
      }
    }
  }

  /** The nodes that read a tensor; none where it has to exist for other reasons. */
  of(tensor: Tensor): readonly Node[] {
    return this.kept.has(tensor) || tensor.gradientOf ? [] : (this.readers.get(tensor) ?? []);
  }

  /** The only reader, if it is an `op` and nothing else needs the tensor. */
  only(tensor: Tensor, op: Op): Node | undefined {
    const [reader, ...others] = this.of(tensor);
    return reader?.op === op && others.length === 0 ? reader : undefined;
  }
}
