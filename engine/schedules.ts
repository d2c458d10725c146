/** Learning-rate schedules: pure functions of where training stands, so that a resumed run needs no state of theirs. */

/**
 * The learning rate of a step.
 * @param epoch counts from 0
 * @param step steps taken so far over the whole run, counts from 0
 */
export type Schedule = (epoch: number, step: number) => number;

/** The same rate always. */
export const constantRate =
  (rate: number): Schedule =>
  () =>
    rate;

/** rate * gamma^epoch, PyTorch's `ExponentialLR` stepped once an epoch. */
export const exponentialDecay =
  (rate: number, gamma: number): Schedule =>
  (epoch) =>
    rate * gamma ** epoch;

export interface CosineSettings {
  /** What `warmup` and `total` count. */
  unit: 'epoch' | 'step';
  /** The rate rises from rate / warmup in equal parts, and has `rate` in the last of these. Default 0: no warm-up. */
  warmup?: number;
  /** Length of the whole schedule, warm-up included; from there on the rate stays `minimum`. */
  total: number;
  /** Default 0. */
  minimum?: number;
}

/**
 * Linear warm-up to `rate`, then half a cosine down to `minimum`: minimum + (rate - minimum) (1 + cos(pi x)) / 2 with x
 * from 0 right after the warm-up to 1 at `total`. Source: Loshchilov and Hutter, "SGDR", 2017, without restarts;
 * PyTorch's `CosineAnnealingLR` when warmup is 0.
 * @throws Error when the warm-up is not shorter than the whole
 */
export function cosineWithWarmup(rate: number, { unit, warmup = 0, total, minimum = 0 }: CosineSettings): Schedule {
  if (!(warmup >= 0 && total > warmup)) {
    throw new Error(
      `cosine schedule: ${total} ${unit}s with a warm-up of ${warmup}; the warm-up has to be shorter than the whole`,
    );
  }
  return (epoch, step) => {
    const at = unit === 'epoch' ? epoch : step;
    if (at < warmup) return (rate * (at + 1)) / warmup;
    const x = Math.min(1, (at - warmup) / (total - warmup));
    return minimum + ((rate - minimum) * (1 + Math.cos(Math.PI * x))) / 2;
  };
}
