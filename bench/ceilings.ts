/** What the adapter can do at most, as two small kernels find it: arithmetic in registers, and copying. */
import type { Device } from '../engine/device.js';
import { Graph, type Op, recordOne } from '../engine/graph.js';
import { byteLength } from '../engine/layout.js';
import { Plan } from '../engine/plan.js';
import type { Cost } from './cost.js';
import { race, type Rounds, type Timing } from './timing.js';

/** Of `ceilingFma.wgsl`. */
const FMA = { CHAINS: 12, REPEATS: 32, LOOPS: 16 };
const FLOP_OF_AN_INVOCATION = 2 * FMA.CHAINS * FMA.REPEATS * FMA.LOOPS;
/** vec4f that an invocation of `ceilingCopy.wgsl` copies. */
const RUN = 8;

const fmaOp: Op = {
  name: 'ceilingFma',
  lower({ inputs, outputs }, to) {
    const count = byteLength(outputs[0].shape, outputs[0].layout) / 16;
    to.dispatch({
      shader: 'ceilingFma',
      constants: FMA,
      params: { count },
      bindings: { seed: inputs[0], y: outputs[0] },
      workgroups: to.flat(count),
    });
  },
};

const copyOp: Op = {
  name: 'ceilingCopy',
  lower({ inputs, outputs }, to) {
    const parts = byteLength(outputs[0].shape, outputs[0].layout) / 16 / RUN;
    to.dispatch({
      shader: 'ceilingCopy',
      constants: { RUN },
      params: { parts },
      bindings: { x: inputs[0], y: outputs[0] },
      workgroups: to.flat(parts),
    });
  },
};

export interface Ceilings {
  /** Rates of the loops, GFLOP/s (32-bit) and GB/s (read and written together). */
  fma: number;
  copy: number;
  timings: { fma: Timing; copy: Timing };
  costs: { fma: Cost; copy: Cost };
}

/** Best rates, so that a fraction of them is not flattered by a busy machine. */
export async function measureCeilings(device: Device, rounds: Rounds): Promise<Ceilings> {
  const { cpu, maxBindingBytes } = device.traits;
  const invocations = cpu ? 2 ** 14 : 2 ** 21;
  // Larger than the caches: 32 MiB a side leaves those of a processor of two cores, 256 MiB those of any graphics card.
  const copied = Math.min(cpu ? 2 ** 25 : 2 ** 28, 2 ** Math.floor(Math.log2(maxBindingBytes)));
  const fmaGraph = new Graph();
  const seed = fmaGraph.input('seed', [4], 'vector');
  const fmaResult = recordOne(fmaOp, [seed], { shape: [4 * invocations], layout: 'vector' }, undefined);
  const fmaPlan = await Plan.compile(device, fmaGraph, { outputs: [fmaResult] });
  fmaPlan.write(seed, [0.5, 0.25, 0, 0]);
  const copyGraph = new Graph();
  const shape = [copied / 4];
  const copyResult = recordOne(copyOp, [copyGraph.input('x', shape, 'vector')], { shape, layout: 'vector' }, undefined);
  const copyPlan = await Plan.compile(device, copyGraph, { outputs: [copyResult] });
  const [fma, copy] = await race(device, [fmaPlan, copyPlan], rounds);
  fmaPlan.destroy();
  copyPlan.destroy();
  const costs = {
    fma: { flop: invocations * FLOP_OF_AN_INVOCATION, bytes: 0 },
    copy: { flop: 0, bytes: 2 * copied },
  };
  return {
    fma: costs.fma.flop / fma.best / 1e6,
    copy: costs.copy.bytes / copy.best / 1e6,
    timings: { fma, copy },
    costs,
  };
}

/** Milliseconds below which a call cannot come: the longer of its arithmetic and its memory at the ceilings. */
export const rooflineMs = ({ flop, bytes }: Cost, { fma, copy }: Pick<Ceilings, 'fma' | 'copy'>): number =>
  Math.max(flop / fma, bytes / copy) / 1e6;
