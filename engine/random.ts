/**
 * Random numbers that depend on nothing but their keys: the same seed gives the same weights, batches, augmentations
 * and dropout masks on every machine, in any order of asking.
 */

/** Mixes 32 bits into 32 bits. Source: C. Wellons, "Prospecting for Hash Functions", `lowbias32` with other constants. */
export function hash32(n: number): number {
  n ^= n >>> 16;
  n = Math.imul(n, 0x7feb352d);
  n ^= n >>> 15;
  n = Math.imul(n, 0x846ca68b);
  n ^= n >>> 16;
  return n >>> 0;
}

/** Folds several integers (seed, epoch, sample, ...) or names into one 32-bit key; the order matters. */
export function hashKeys(...keys: (number | string)[]): number {
  let h = 0x9e3779b9;
  for (const key of keys) {
    if (typeof key === 'number') h = hash32(h ^ hash32(key >>> 0)) + 0x9e3779b9;
    else for (let i = 0; i < key.length; i++) h = hash32(h ^ key.charCodeAt(i)) + 0x9e3779b9;
  }
  return hash32(h);
}

/** A stream of numbers for one key. Two streams with different keys are independent; a stream can be made again from its key. */
export class Random {
  private counter = 0;
  private readonly key: number;
  private readonly key2: number;

  constructor(...keys: (number | string)[]) {
    this.key = hashKeys(...keys);
    this.key2 = hash32(this.key ^ 0x5bf03635);
  }

  /** 32 random bits as an unsigned integer. */
  bits(): number {
    return hash32((hash32(this.counter++ ^ this.key) + this.key2) >>> 0);
  }

  /** Uniform in [low, high), with 32 random bits. */
  uniform(low = 0, high = 1): number {
    return low + (this.bits() / 4294967296) * (high - low);
  }

  /** Uniform over the integers 0 .. count - 1. */
  integer(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  /** Standard normal, by Box and Muller. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Shuffles in place (Fisher and Yates) and returns the array. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }
}
