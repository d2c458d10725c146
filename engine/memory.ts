import { Scratch, type Storage } from './lowering.js';

/** Bytes in use from one dispatch to another, both included. */
export interface Span {
  readonly bytes: number;
  from: number;
  to: number;
}

/** From the dispatch that first touches a storage to the last one. */
export interface Lifetime extends Span {
  readonly storage: Storage;
}

/** The most bytes alive at one moment. */
export function peakBytes(lifetimes: readonly Span[]): number {
  const change = new Map<number, number>();
  for (const { from, to, bytes } of lifetimes) {
    change.set(from, (change.get(from) ?? 0) + bytes);
    change.set(to + 1, (change.get(to + 1) ?? 0) - bytes);
  }
  let alive = 0;
  let peak = 0;
  for (const at of [...change.keys()].sort((a, b) => a - b)) {
    alive += change.get(at)!;
    peak = Math.max(peak, alive);
  }
  return peak;
}

/**
 * Shares buffers ("slots") between storages that are never alive together: largest first, each into the free slot that fits
 * it best. A slot is one GPU buffer, since WebGPU forbids reading and writing the same buffer in one dispatch.
 * Source: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, "Greedy by Size for Shared Objects".
 *
 * @returns the bytes of each slot, and each storage's slot
 */
export function assignSlots<T extends Span>(lifetimes: readonly T[]): { slots: number[]; slotOf: Map<T, number> } {
  const slots: { bytes: number; users: T[] }[] = [];
  const slotOf = new Map<T, number>();
  const bySize = lifetimes.slice().sort((a, b) => b.bytes - a.bytes || a.from - b.from);
  for (const lifetime of bySize) {
    // Slots were opened in falling size, so the last free one fits best.
    const free = slots.findLastIndex(({ users }) => users.every((u) => u.to < lifetime.from || u.from > lifetime.to));
    const slot = free >= 0 ? free : slots.push({ bytes: lifetime.bytes, users: [] }) - 1;
    slots[slot].users.push(lifetime);
    slotOf.set(lifetime, slot);
  }
  return { slots: slots.map(({ bytes }) => bytes), slotOf };
}

/** Where the bytes of a plan go; variables (parameters, gradients, moments) are not the plan's. */
export interface MemoryReport {
  /** Buffers, and textures that stand in for them, for values within a step. */
  readonly transient: number;
  /** What of it are textures (`texels.ts`). */
  readonly texels: number;
  /** The most that is alive at one moment: what `transient` would be without any waste. */
  readonly peak: number;
  readonly inputs: number;
  /** From the largest down; `from` and `to` count dispatches. */
  readonly storages: readonly {
    name: string;
    shape: readonly number[];
    bytes: number;
    from: number;
    to: number;
    slot: number;
  }[];
}

export function reportMemory(
  lifetimes: readonly Lifetime[],
  slots: readonly number[],
  slotOf: ReadonlyMap<Lifetime, number>,
  inputs: readonly number[],
  textures: readonly number[],
): MemoryReport {
  const sum = (list: readonly number[]) => list.reduce((total, bytes) => total + bytes, 0);
  const storages = lifetimes.map((lifetime) => ({
    name: lifetime.storage.name,
    shape: lifetime.storage instanceof Scratch ? [] : lifetime.storage.shape,
    bytes: lifetime.bytes,
    from: lifetime.from,
    to: lifetime.to,
    slot: slotOf.get(lifetime)!,
  }));
  storages.sort((a, b) => b.bytes - a.bytes || a.from - b.from);
  const texels = sum(textures);
  return { transient: sum(slots) + texels, texels, peak: peakBytes(lifetimes), inputs: sum(inputs), storages };
}

/** The report as a table, a line a storage. */
export function describeMemory({ transient, texels, peak, inputs, storages }: MemoryReport): string {
  const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(2).padStart(9);
  const rows = storages.map(
    ({ name, shape, bytes, from, to, slot }) =>
      `${mebibytes(bytes)} MiB  dispatches ${`${from}..${to}`.padEnd(11)} slot ${String(slot).padEnd(4)} ${name} [${shape.join(', ')}]`,
  );
  return [
    ...rows,
    `${mebibytes(transient)} MiB  in all slots, ${mebibytes(texels).trim()} MiB of it textures; ${mebibytes(peak).trim()} MiB alive at most, ${mebibytes(inputs).trim()} MiB of inputs`,
  ].join('\n');
}
