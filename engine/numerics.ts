/** Finds the first op of a step with an output that is not finite: a count behind every op, all in the same submit. */
import type { Device } from './device.js';
import { type Node, Tensor } from './graph.js';
import { type Dtype, quadBytes } from './layout.js';
import { type Binding, Lowering, Scratch } from './lowering.js';
import type { Lowered } from './plan.js';

/** One place that is looked at; its number among the probes is its word in the report. */
interface Probe {
  /** The op; undefined where values enter the step. */
  op?: string;
  /** A tensor with its shape, or an arena. */
  value: string;
}

export interface NumericsChecks {
  /** The step's dispatches, and the counting ones behind those of each op. */
  readonly dispatches: Lowered[];
  /** A u32 a probe; cleared before each step. */
  readonly report: Scratch;
  readonly probes: readonly Probe[];
}

export interface NonFinite {
  /** The first op with an output that is not finite; undefined when only what enters the step is not. */
  op: string | undefined;
  /** That output, with its shape, or the memory that the op changes. */
  value: string | undefined;
  /** Its numbers that are infinite or NaN. */
  count: number;
  /** Inputs and variables that were not finite before the step, which then are the cause. */
  sources: readonly { value: string; count: number }[];
}

/** Puts counts in front of the step, for what enters it, and behind the dispatches of each node, for what they write. */
export function checkFinite(
  device: Device,
  nodes: readonly Node[],
  groups: readonly (readonly Lowered[])[],
): NumericsChecks {
  const entering = [...new Set(nodes.flatMap(({ inputs }) => inputs.filter(({ producer }) => !producer)))];
  const probed: { probe: Probe; written: Written; place: number }[] = [
    ...entering.map((written) => {
      const value = `${written.variable ? 'the variable' : 'the input'} ${written}`;
      return { probe: { value }, written, place: 0 };
    }),
    ...groups.flatMap((group, i) =>
      writtenBy(device, group).map((written) => {
        const value = written instanceof Tensor ? String(written) : `the arena ${written.arena.name}`;
        return { probe: { op: nodes[i].op.name, value }, written, place: i + 1 };
      }),
    ),
  ].filter(({ written }) => !(written instanceof Tensor && written.layout === 'words'));

  const report = new Scratch('report of checkNumerics', Math.ceil(probed.length / 4) * 16);
  const counts: Lowered[][] = Array.from({ length: groups.length + 1 }, () => []);
  probed.forEach(({ written, place }, slot) => {
    const dtype: Dtype = written instanceof Tensor ? written.dtype : 'f32';
    for (const { binding, bytes } of partsOf(written, device.traits.maxBindingBytes)) {
      const count = bytes / quadBytes(dtype);
      counts[place].push({
        node: 'checkNumerics',
        shader: 'nonFinite',
        constants: { HALF: dtype === 'f16' },
        params: { count, slot },
        bindings: { x: binding, report },
        workgroups: new Lowering(device.traits, 'checkNumerics').flat(count),
      });
    }
  });
  const dispatches = [...counts[0], ...groups.flatMap((group, i) => [...group, ...counts[i + 1]])];
  return { dispatches, report, probes: probed.map(({ probe }) => probe) };
}

type ArenaChunk = Extract<Binding, { arena: unknown }>;
type Written = Tensor | ArenaChunk;

/** A chunk of an arena fits a binding; a tensor may not. */
function partsOf(written: Written, most: number): { binding: Binding; bytes: number }[] {
  if (!(written instanceof Tensor)) return [{ binding: written, bytes: written.arena.chunkBytes[written.chunk] }];
  const { bytes } = written;
  return Array.from({ length: Math.ceil(bytes / most) }, (_, i) => {
    const part = Math.min(most, bytes - i * most);
    return { binding: { storage: written, offset: i * most, bytes: part }, bytes: part };
  });
}

/** Tensors and chunks of arenas that dispatches write, each once; memory within an op is its own affair. */
function writtenBy(device: Device, group: readonly Lowered[]): Written[] {
  const tensors = new Set<Tensor>();
  const arenas = new Map<string, ArenaChunk>();
  for (const { shader, bindings } of group) {
    const { storage: declared } = device.pipelines.interfaceOf(shader);
    for (const [name, binding] of Object.entries(bindings)) {
      if (!declared.get(name)?.writable) continue;
      if ('arena' in binding) {
        arenas.set(`${binding.arena.name} ${binding.chunk}`, binding);
        continue;
      }
      const storage = 'storage' in binding ? binding.storage : binding;
      if (storage instanceof Tensor) tensors.add(storage);
    }
  }
  return [...tensors, ...arenas.values()];
}

/** Reads a step's report. */
export function firstNonFinite({ probes }: NumericsChecks, report: Uint32Array): NonFinite | undefined {
  const found = probes.map((probe, i) => ({ ...probe, count: report[i] })).filter(({ count }) => count > 0);
  if (found.length === 0) return undefined;
  const first = found.find(({ op }) => op !== undefined);
  const sources = found.filter(({ op }) => op === undefined).map(({ value, count }) => ({ value, count }));
  return { op: first?.op, value: first?.value, count: first?.count ?? 0, sources };
}

/** One line for people. */
export function describeNonFinite({ op, value, count, sources }: NonFinite): string {
  const numbers = (n: number) => `${n} ${n === 1 ? 'number that is' : 'numbers that are'} not finite`;
  const before = sources.map((source) => `${source.value} came in with ${numbers(source.count)}`);
  const first = op === undefined ? [] : [`the first op with such a result is ${op}: ${value} has ${numbers(count)}`];
  return [...before, ...first].join('; ');
}
