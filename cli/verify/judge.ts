import type { Rule } from './golden.js';

/** The case is of a form of its transform that is not ours: neither passed nor failed. */
export class NotOffered extends Error {
  override name = 'NotOffered';
}

/** How far a tensor is from its reference: 1 is exactly the tolerance, `NaN` and missing values are infinitely far. */
export interface Verdict {
  tensor: string;
  ratio: number;
  /** The element that is farthest off, in words. */
  where: string;
}

/** `a / b` where 0 / 0 is within tolerance and anything that is not a number is not. */
function ratioOf(error: number, allowed: number): number {
  if (error <= allowed) return allowed > 0 ? error / allowed : 0;
  return allowed > 0 && Number.isFinite(error) ? error / allowed : Infinity;
}

/** Judges `got` by the case's rule for the tensor. */
export function judge(tensor: string, got: ArrayLike<number>, reference: ArrayLike<number>, rule: Rule): Verdict {
  if (got.length !== reference.length) {
    return { tensor, ratio: Infinity, where: `${got.length} elements instead of ${reference.length}` };
  }
  let largest = 0;
  let worst = 0;
  let worstError = -1;
  let sum = 0;
  let over = 0;
  const elementLimit = (i: number): number => {
    if (rule.rule === 'elem') return rule.atol + rule.rtol * Math.abs(reference[i]);
    return rule.rule === 'image' ? rule.max_abs : 0;
  };
  let worstRatio = 0;
  for (let i = 0; i < got.length; i++) {
    largest = Math.max(largest, Math.abs(reference[i]));
    const error = Math.abs(got[i] - reference[i]);
    const comparable = error <= Infinity ? error : Infinity;
    sum += comparable;
    if (!(error <= elementLimit(i))) over++;
    const ratio = rule.rule === 'elem' ? ratioOf(comparable, elementLimit(i)) : 0;
    if (rule.rule === 'elem' ? ratio > worstRatio : comparable > worstError) {
      worst = i;
      worstError = comparable;
      worstRatio = ratio;
    }
  }
  const where = `element ${worst}: ${got[worst]} instead of ${reference[worst]}`;
  switch (rule.rule) {
    case 'max':
      return { tensor, ratio: ratioOf(Math.max(worstError, 0), rule.atol + rule.rtol * largest), where };
    case 'elem':
      return { tensor, ratio: worstRatio, where };
    case 'exact':
      return { tensor, ratio: over === 0 ? 0 : Infinity, where };
    case 'image':
      return {
        tensor,
        ratio: Math.max(ratioOf(sum / got.length, rule.mean_abs), ratioOf(over / got.length, rule.frac)),
        where,
      };
  }
}
