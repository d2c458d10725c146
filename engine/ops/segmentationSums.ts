/** What losses and metrics add up over the same logits and targets, in one pass over both; `fuseSegmentation.ts` makes these nodes. */
import type { Node, Op, Tensor } from '../graph.js';
import type { Binding, Lowering } from '../lowering.js';
import { foldRows, overImages, termRows } from './sumRows.js';

/** Which of the three, with what their ops were recorded with. */
export interface Attributes {
  /** `bceWithLogitsLoss` of the logits. */
  bce?: { positiveWeight: number };
  /** `diceSums` of the logits' sigmoid. */
  dice?: { perImage: boolean };
  /** `segmentationCounts` of the logits. */
  counts?: { threshold: number };
}

/** Parts of an image that the last pass adds up one by one. On a processor another pass would take longer than 256 of them. */
const FEW_PARTS = { cpu: 256, gpu: 32 };

const SHADER = 'segmentationSums';

const constantsOf = ({ bce, dice, counts }: Attributes) => ({
  BCE: bce !== undefined,
  WEIGHTED: bce !== undefined && bce.positiveWeight !== 1,
  DICE: dice !== undefined,
  BATCH: dice !== undefined && !dice.perImage,
  COUNTS: counts !== undefined,
  INNER: [bce, dice, counts].filter((part) => part !== undefined).length,
});

/** Those that not every entry point has. */
function paramsOf({ shape: [images, , height, width] }: Tensor, { bce, dice, counts }: Attributes) {
  return {
    scale: 1 / (images * height * width),
    positiveWeight: bce?.positiveWeight ?? 1,
    threshold: counts?.threshold ?? 0,
    rowStep: Number(dice?.perImage ?? false),
    images,
    parts: 0,
  };
}

/** The tensors of the parts that there are, by the shader's names, which come in this order. */
function byPart(tensors: readonly Tensor[], { bce, dice, counts }: Attributes): Record<string, Tensor> {
  const names = Object.entries({ bce, dice, counts }).flatMap(([name, part]) => (part ? [name] : []));
  return Object.fromEntries(names.map((name, i) => [name, tensors[i]]));
}

/** [z, t] to the results of `bce`, `dice` and `counts`, those that there are. */
export const segmentationSumsOp: Op<Attributes> = {
  name: 'segmentationSums',
  lower({ inputs: [z, t], outputs, attributes }: Node<Attributes>, to: Lowering) {
    const constants = constantsOf(attributes);
    const params = paramsOf(z, attributes);
    const rows = termRows(to, SHADER, { z, t }, params, { inner: constants.INNER, constants });
    const { sources, length } = foldRows(to, rows, to.traits.cpu ? FEW_PARTS.cpu : FEW_PARTS.gpu);
    to.dispatch({
      shader: SHADER,
      entry: 'finish',
      constants: { ...constants, THREADS: 64 },
      params: { ...params, first: 0, length: 0, span: 0, parts: length },
      bindings: { sums_saved: sources[0].binding, ...byPart(outputs, attributes) },
      workgroups: [1, 1, 1],
    });
  },
};

/** [z, t, gradient of `dice`, (gradient of `bce`)] to [dz]; `counts` has none. */
export const segmentationSumsGradientOp: Op<Attributes> = {
  name: 'segmentationSumsGradient',
  lower({ inputs: [z, t, dDice, dBce], outputs: [dz], attributes }: Node<Attributes>, to: Lowering) {
    const kernel = { shader: SHADER, entry: 'gradient', run: 1, constants: constantsOf(attributes) };
    const shared: Record<string, Binding> = { dDice, ...(dBce ? { dBce } : {}) };
    overImages(to, kernel, { z, t, dz }, paramsOf(z, attributes), shared);
  },
};
