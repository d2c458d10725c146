/** What a plan is before any of it exists: which dispatches, in which order, and which memory each value has. */
import type { Device } from './device.js';
import { fuseNodes } from './fuse.js';
import type { Graph, Node, Tensor } from './graph.js';
import { type Binding, type Dispatch, Lowering, Scratch, type Storage } from './lowering.js';
import { assignSlots, type Lifetime, type MemoryReport, reportMemory } from './memory.js';
import { checkFinite, type NumericsChecks } from './numerics.js';
import { recomputeNodes } from './recompute.js';
import { planTexels, type TexelCopy, type TexelPlan } from './texels.js';

export interface PlanOptions {
  /** What will be read after a step. Effects (optimizer, running statistics) are kept without being named. */
  outputs: readonly Tensor[];
  /** Fills every storage with NaN just before it is first written, so that a read of stale memory shows. For tests. */
  poison?: boolean;
  /** Counts what is not finite behind every op, for `firstNonFinite`. Costs about a second reading of all that is written. */
  checkNumerics?: boolean;
  /**
   * Merges ops that pass over the same memory (`fuse.ts`). Default true. `checkNumerics` looks behind every op, so nothing
   * is fused then.
   */
  fuse?: boolean;
  /** Computes cheap results again in the backward pass instead of keeping them (`recompute.ts`). Default false. */
  checkpointActivations?: boolean;
  /** Takes the variables' values from another set of arenas (`Variables.valuesOf`), such as `ema`. */
  values?: string;
}

export interface Lowered extends Dispatch {
  node: string;
  source?: Node;
}

/** Nodes that an output or an effect depends on, in the order they were recorded. */
function neededNodes(graph: Graph, outputs: readonly Tensor[]): Node[] {
  const needed = new Set<Node>();
  const visit = (tensor: Tensor) => {
    if (tensor.producer) needed.add(tensor.producer);
  };
  outputs.forEach(visit);
  return graph.nodes
    .slice()
    .reverse()
    .filter((node) => {
      if (!node.op.effect && !needed.has(node)) return false;
      node.inputs.forEach(visit);
      return true;
    })
    .reverse();
}

/** What a plan is, but for the pipelines and the memory itself. */
export interface Arrangement {
  dispatches: readonly Lowered[];
  lifetimes: readonly Lifetime[];
  slots: readonly number[];
  slotOf: ReadonlyMap<Lifetime, number>;
  texels: TexelPlan;
  /** Sizes of the textures, and each copy's texture. */
  textures: { slots: readonly number[]; slotOf: ReadonlyMap<TexelCopy, number> };
  checks: NumericsChecks | undefined;
  memory: MemoryReport;
  fused: Readonly<Record<string, number>>;
  recomputed: Readonly<Record<string, number>>;
}

/** The calls that a plan lowers, in order, and what became of the recorded ones. */
export function plannedNodes(
  device: Device,
  graph: Graph,
  { outputs, checkNumerics, fuse = device.traits.fuse, checkpointActivations }: PlanOptions,
): Pick<Arrangement, 'fused' | 'recomputed'> & { nodes: readonly Node[] } {
  const needed = neededNodes(graph, outputs);
  const { nodes: merged, fused } =
    fuse && !checkNumerics ? fuseNodes(needed, outputs, device.traits) : { nodes: needed, fused: {} };
  if (!checkpointActivations) return { nodes: merged, fused, recomputed: {} };
  return { ...recomputeNodes(merged, outputs), fused };
}

export function arrange(device: Device, graph: Graph, options: PlanOptions): Arrangement {
  const { outputs, poison, checkNumerics } = options;
  const { nodes, fused, recomputed } = plannedNodes(device, graph, options);
  const groups = nodes.map((node) => lower(device, node));
  const checks = checkNumerics ? checkFinite(device, nodes, groups) : undefined;
  const lowered = checks?.dispatches ?? groups.flat();
  const lifetimes = findLifetimes(lowered, outputs).filter(({ storage }) => storage !== checks?.report);
  const dispatches = poison ? withPoison(device, lowered, lifetimes) : lowered;
  const { slots, slotOf } = assignSlots(lifetimes);
  const texels = planTexels(device.pipelines, dispatches);
  const textures = assignSlots(texels.copies);
  const inputs = graph.inputs.map(({ bytes }) => bytes);
  const memory = reportMemory(lifetimes, slots, slotOf, inputs, textures.slots);
  return { dispatches, lifetimes, slots, slotOf, texels, textures, checks, memory, fused, recomputed };
}

/** The memory that a plan will take, without making any of it and without compiling anything. */
export const planMemory = (device: Device, graph: Graph, options: PlanOptions): MemoryReport =>
  arrange(device, graph, options).memory;

export function lower(device: Device, node: Node): Lowered[] {
  const to = new Lowering(device.traits, node.outputs[0]?.name ?? node.op.name);
  node.op.lower(node, to);
  return to.dispatches.map((dispatch) => ({ ...dispatch, node: node.op.name, source: node }));
}

/** The storages behind a binding; none behind an arena. */
export function storagesOf(binding: Binding): Storage[] {
  if ('arena' in binding) return [];
  const parts = 'joined' in binding ? binding.joined : [binding];
  return parts.map((part) => ('storage' in part ? part.storage : part));
}

/** Whether the plan decides where a storage lives. */
const isTransient = (storage: Storage): boolean =>
  storage instanceof Scratch || (storage.producer !== undefined && !storage.gradientOf);

function findLifetimes(dispatches: readonly Lowered[], outputs: readonly Tensor[]): Lifetime[] {
  const lifetimes = new Map<Storage, Lifetime>();
  dispatches.forEach((dispatch, at) => {
    for (const storage of Object.values(dispatch.bindings).flatMap(storagesOf)) {
      if (!isTransient(storage)) continue;
      const known = lifetimes.get(storage);
      if (known) known.to = at;
      else lifetimes.set(storage, { storage, bytes: storage.bytes, from: at, to: at });
    }
  });
  for (const output of outputs) {
    const lifetime = lifetimes.get(output);
    if (lifetime) lifetime.to = dispatches.length;
  }
  return [...lifetimes.values()];
}

/** Puts a fill with NaN in front of the first dispatch of each storage, and moves the lifetimes along. */
function withPoison(device: Device, dispatches: readonly Lowered[], lifetimes: Lifetime[]): Lowered[] {
  const out: Lowered[] = [];
  const movedTo: number[] = [];
  dispatches.forEach((dispatch, at) => {
    const first = out.length;
    for (const { storage, bytes } of lifetimes.filter((lifetime) => lifetime.from === at)) {
      const most = device.traits.maxBindingBytes;
      for (let offset = 0; offset < bytes; offset += most) {
        const part = Math.min(most, bytes - offset);
        out.push({
          node: 'poison',
          shader: 'fill',
          // NaN as one f32 and as two f16.
          params: { count: part / 4, bits: 0x7fc07fc0 },
          bindings: { x: { storage, offset, bytes: part } },
          workgroups: new Lowering(device.traits, 'poison').flat(part / 4),
        });
      }
    }
    movedTo[at] = out.length;
    for (const lifetime of lifetimes) if (lifetime.from === at) lifetime.from = -1 - first;
    out.push(dispatch);
  });
  movedTo[dispatches.length] = out.length;
  for (const lifetime of lifetimes) {
    lifetime.from = -1 - lifetime.from;
    lifetime.to = movedTo[lifetime.to];
  }
  return out;
}
