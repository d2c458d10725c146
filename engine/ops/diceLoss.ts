import { type Op, recordOne, type Tensor } from '../graph.js';
import { checkPair } from './shapes.js';
import { overImages, sumTerms } from './sumRows.js';

interface Rows {
  /** A row of sums for each image instead of one for the batch. */
  perImage: boolean;
}

export const diceSumsOp: Op<Rows> = {
  name: 'diceSums',
  lower(node, to) {
    const [p, t] = node.inputs;
    const { perImage } = node.attributes;
    sumTerms(to, 'diceSums', { p, t }, { rowStep: 0 }, node.outputs[0], { perImage });
  },
  // dp = dSums.pt * t + dSums.p
  gradient: (node, [dSums]) => {
    const [p, t] = node.inputs;
    return [recordOne(diceSumsGradientOp, [t, dSums!], { shape: p.shape }, node.attributes), undefined];
  },
};
