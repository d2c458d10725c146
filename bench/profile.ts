/** Where a step's time goes, by the adapter's timestamps: a table of ops, and a trace for Chrome (`chrome://tracing`, Perfetto). */
import { type Device, DeviceError } from '../engine/device.js';
import type { Node } from '../engine/graph.js';
import type { Plan } from '../engine/plan.js';
import { dispatchTimes, hasTimestamps } from '../engine/timing.js';
import { type Ceilings, rooflineMs } from './ceilings.js';
import { costOf, shapeOf } from './cost.js';
import { tableOf } from './rows.js';

/** One dispatch of a profiled run, milliseconds from its begin. */
export interface ProfiledDispatch {
  op: string;
  /** The output's name, which begins with the layer's, and the sizes. */
  detail: string;
  shader: string;
  begin: number;
  end: number;
  source: Node | undefined;
}

/**
 * Runs the plan with a pass for each dispatch.
 * @throws DeviceError when the adapter has no timestamps
 */
export async function profile(device: Device, plan: Plan): Promise<ProfiledDispatch[]> {
  if (!hasTimestamps(device)) {
    throw new DeviceError('this adapter has no timestamps (timestamp-query), which --profile needs');
  }
  await dispatchTimes(device, plan);
  const spans = await dispatchTimes(device, plan);
  return plan.dispatches.map(({ source, shader }, i) => ({
    op: source?.op.name ?? shader,
    detail: source ? `${source.outputs[0]?.name ?? ''} ${shapeOf(source)}`.trim() : '',
    shader,
    source,
    ...spans[i],
  }));
}

interface Share {
  name: string;
  ms: number;
  dispatches: number;
  /** The least time at the ceilings. */
  leastMs: number;
}

/** Sums by a name of the dispatches, the largest first; each recorded call's cost counts once. */
function sharesBy(
  dispatches: readonly ProfiledDispatch[],
  nameOf: (d: ProfiledDispatch) => string,
  ceilings: Ceilings,
) {
  const shares = new Map<string, Share>();
  const counted = new Set<Node>();
  const shadersOf = new Map<Node | undefined, string[]>();
  for (const { source, shader } of dispatches) shadersOf.set(source, [...(shadersOf.get(source) ?? []), shader]);
  for (const dispatch of dispatches) {
    const { source, begin, end } = dispatch;
    const name = nameOf(dispatch);
    const share = shares.get(name) ?? { name, ms: 0, dispatches: 0, leastMs: 0 };
    shares.set(name, share);
    share.ms += end - begin;
    share.dispatches++;
    if (!source || counted.has(source)) continue;
    counted.add(source);
    share.leastMs += rooflineMs(costOf(source), ceilings, shadersOf.get(source)!);
  }
  return [...shares.values()].sort((a, b) => b.ms - a.ms);
}

/** The ops by time, then the longest single calls, with their share of the step and their fraction of the roofline. */
export function profileTable(dispatches: readonly ProfiledDispatch[], ceilings: Ceilings, calls = 15): string {
  const total = dispatches.reduce((sum, { begin, end }) => sum + (end - begin), 0);
  const rows = (shares: readonly Share[]): string[][] =>
    shares.map(({ name, ms, dispatches: count, leastMs }) => [
      name,
      ms.toFixed(2),
      `${((100 * ms) / total).toFixed(1)}%`,
      (leastMs / ms).toFixed(2),
      String(count),
    ]);
  const heads = ['ms', 'share', 'of roofline', 'dispatches'];
  const single = sharesBy(dispatches, ({ op, detail }) => `${op} ${detail}`, ceilings);
  return [
    tableOf([['op', ...heads], ...rows(sharesBy(dispatches, ({ op }) => op, ceilings))]),
    tableOf([['longest calls', ...heads], ...rows(single.slice(0, calls))]),
  ].join('\n\n');
}

/** The trace event format: complete events, microseconds. */
export function chromeTrace(name: string, adapter: string, dispatches: readonly ProfiledDispatch[]): string {
  const events = dispatches.map(({ op, detail, shader, begin, end }) => ({
    name: op,
    ph: 'X',
    ts: begin * 1000,
    dur: (end - begin) * 1000,
    pid: 1,
    tid: 1,
    args: { detail, shader },
  }));
  const names = [
    { name: 'process_name', ph: 'M', pid: 1, args: { name: adapter } },
    { name: 'thread_name', ph: 'M', pid: 1, tid: 1, args: { name } },
  ];
  return JSON.stringify({ traceEvents: [...names, ...events] });
}
