import type { Op } from '../graph.js';
import type { Lowering } from '../lowering.js';
import type { Variables } from '../variables.js';
import { overParameters, type UpdateOptions } from './overParameters.js';

/** Inputs: hyper (see `adamHyper`), the squares, the gradients, and the gate where there is one. Output: the norm. */
interface Attributes extends UpdateOptions {
  variables: Variables;
  betas: readonly [number, number];
  /** Added to the gradient, times the parameter. Decoupled decay is part of hyper. */
  weightDecay: number;
}

/** The arenas of the moments: the running mean of the gradient, and of its square. */
export const ADAM_STATE = { m: 'adam.m', v: 'adam.v' } as const;

export const adamOp: Op<Attributes> = {
  name: 'adam',
  effect: true,
  lower(node, to: Lowering) {
    const { variables, betas, weightDecay, clipNorm, gate } = node.attributes;
    overParameters(to, 'adam', variables, {
      constants: {},
      params: { beta1: betas[0], beta2: betas[1], restOfBeta1: 1 - betas[0], restOfBeta2: 1 - betas[1], weightDecay },
      state: ADAM_STATE,
      hyper: node.inputs[0],
      squares: node.inputs[1],
      norm: node.outputs[0],
      clipNorm,
      gate,
    });
  },
};

/**
 * What the kernel's one formula p = p - decay p - rate m / (rootScale sqrt(v) + epsilon) takes; the three optimizers
 * differ in nothing else.
 */
export type AdamHyper = [decay: number, rate: number, rootScale: number, epsilon: number];

interface HyperSettings {
  kind: 'adam' | 'adamw' | 'radam';
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
}

/**
 * The numbers of one step, in float64.
 *
 * adam, adamw: p -= lr / c1 * m / (sqrt(v / c2) + eps) with c = 1 - beta^step; adamw also takes lr * weightDecay * p.
 * Source: PyTorch `torch.optim.Adam`, `AdamW`.
 *
 * radam: p -= lr / c1 * r sqrt(c2) * m / (sqrt(v) + eps), and while rho <= 5, p -= lr / c1 * m, where
 * r = sqrt((rho - 4) (rho - 2) rhoInf / ((rhoInf - 4) (rhoInf - 2) rho)),
 * rhoInf = 2 / (1 - beta2) - 1 and rho = rhoInf - 2 step beta2^step / c2.
 * Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020; epsilon as PyTorch 1.13's
 * `torch.optim.RAdam` has it.
 *
 * @param step counts from 1
 */
export function adamHyper(
  { kind, betas: [beta1, beta2], eps, weightDecay }: HyperSettings,
  learningRate: number,
  step: number,
): AdamHyper {
  const c1 = 1 - beta1 ** step;
  const c2 = 1 - beta2 ** step;
  if (kind !== 'radam') {
    return [kind === 'adamw' ? learningRate * weightDecay : 0, learningRate / c1, 1 / Math.sqrt(c2), eps];
  }
  const rhoInf = 2 / (1 - beta2) - 1;
  const rho = rhoInf - (2 * step * beta2 ** step) / c2;
  if (rho <= 5) return [0, learningRate / c1, 0, 1];
  const r = Math.sqrt(((rho - 4) * (rho - 2) * rhoInf) / ((rhoInf - 4) * (rhoInf - 2) * rho));
  return [0, (learningRate / c1) * r * Math.sqrt(c2), 1, eps];
}
