/** What the adapter can do at most, as small kernels find it: arithmetic in registers, copying, and matrix units. */
import type { Device, MatrixShape } from '../engine/device.js';
import { Graph, type Op, recordOne } from '../engine/graph.js';
import { byteLength, elementCount } from '../engine/layout.js';
import { Plan } from '../engine/plan.js';
import { race, type Rounds, type Timing } from '../engine/timing.js';
import type { Cost } from './cost.js';

/** Of `ceilingFma.wgsl`. */
const FMA = { CHAINS: 12, REPEATS: 32, LOOPS: 16 };
const FLOP_OF_AN_INVOCATION = 2 * FMA.CHAINS * FMA.REPEATS * FMA.LOOPS;
/** vec4f that an invocation of `ceilingCopy.wgsl` copies. */
const RUN = 8;
/** Of `ceilingMatrix.wgsl`: a subgroup's registers hold that many operands and their products. */
const MATRIX = { LEFTS: 2, RIGHTS: 4, LOOPS: 512 };
const PRODUCTS = MATRIX.LEFTS * MATRIX.RIGHTS;

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

const matrixOp: Op<MatrixShape> = {
  name: 'ceilingMatrix',
  lower({ inputs, outputs, attributes: shape }, to) {
    const count = elementCount(outputs[0].shape) / (PRODUCTS * shape.M * shape.N);
    to.dispatch({
      shader: 'ceilingMatrix',
      constants: { ...shape, ...MATRIX, LANES: to.traits.subgroupSize },
      params: { count },
      bindings: { seed: inputs[0], y: outputs[0] },
      workgroups: to.flat(count, 1),
    });
  },
};

/** A kernel ready to be timed, and what one run of it does. */
interface Loop {
  /** As rows call it. */
  work: string;
  op: string;
  cost: Cost;
  plan: Plan;
}

async function fmaLoop(device: Device): Promise<Loop> {
  const invocations = device.traits.cpu ? 2 ** 14 : 2 ** 21;
  const graph = new Graph();
  const seed = graph.input('seed', [4], 'vector');
  const result = recordOne(fmaOp, [seed], { shape: [4 * invocations], layout: 'vector' }, undefined);
  const plan = await Plan.compile(device, graph, { outputs: [result] });
  plan.write(seed, [0.5, 0.25, 0, 0]);
  const cost = { flop: invocations * FLOP_OF_AN_INVOCATION, bytes: 0 };
  return { work: 'ceiling: multiply-adds', op: fmaOp.name, cost, plan };
}

async function copyLoop(device: Device): Promise<Loop> {
  const { cpu, maxBindingBytes } = device.traits;
  // Larger than the caches: 32 MiB a side leaves those of a processor of two cores, 256 MiB those of any graphics card.
  const copied = Math.min(cpu ? 2 ** 25 : 2 ** 28, 2 ** Math.floor(Math.log2(maxBindingBytes)));
  const graph = new Graph();
  const shape = [copied / 4];
  const result = recordOne(copyOp, [graph.input('x', shape, 'vector')], { shape, layout: 'vector' }, undefined);
  const plan = await Plan.compile(device, graph, { outputs: [result] });
  return { work: 'ceiling: copy', op: copyOp.name, cost: { flop: 0, bytes: 2 * copied }, plan };
}

async function matrixLoop(device: Device, shape: MatrixShape): Promise<Loop> {
  const { M, N, K } = shape;
  const bytes = PRODUCTS * M * N * 4;
  // Several for every place that a large GPU has for a subgroup, 550 GFLOP in all with matrices of 16x16.
  const subgroups = Math.min(2 ** 14, Math.floor(device.traits.maxBindingBytes / bytes));
  const graph = new Graph();
  const seed = graph.input('seed', [MATRIX.LEFTS * M * K + MATRIX.RIGHTS * K * N], 'vector', 'f16');
  const output = { shape: [(subgroups * bytes) / 4], layout: 'vector' } as const;
  const plan = await Plan.compile(device, graph, { outputs: [recordOne(matrixOp, [seed], output, shape)] });
  plan.write(
    seed,
    Array.from({ length: elementCount(seed.shape) }, () => 1 / 64),
  );
  const cost = { flop: subgroups * MATRIX.LOOPS * PRODUCTS * 2 * M * N * K, bytes: 0 };
  return { work: 'ceiling: matrix multiply-adds', op: matrixOp.name, cost, plan };
}

export interface Ceiling extends Pick<Loop, 'work' | 'op' | 'cost'> {
  timing: Timing;
  /** GFLOP/s, or GB/s read and written together. Of the best round, so that no busy machine flatters a fraction of it. */
  rate: number;
}

export interface Ceilings {
  /** f32. */
  fma: Ceiling;
  copy: Ceiling;
  /** f16 added up in f32, where the device has matrix units. */
  matrix?: Ceiling;
}

export async function measureCeilings(device: Device, rounds: Rounds): Promise<Ceilings> {
  const { matrix } = device.traits;
  const loops = [await fmaLoop(device), await copyLoop(device), ...(matrix ? [await matrixLoop(device, matrix)] : [])];
  const plans = loops.map(({ plan }) => plan);
  const timings = await race(device, plans, rounds);
  plans.forEach((plan) => plan.destroy());
  const ceilings = loops.map(({ work, op, cost }, i) => {
    const rate = (cost.flop || cost.bytes) / timings[i].best / 1e6;
    return { work, op, cost, timing: timings[i], rate };
  });
  return { fma: ceilings[0], copy: ceilings[1], matrix: ceilings[2] };
}

/**
 * Milliseconds below which a call cannot come: the longer of its arithmetic and its memory at the ceilings.
 * @param shaders that it ran on; the ceiling of those for matrix units is another
 */
export function rooflineMs({ flop, bytes }: Cost, { fma, copy, matrix }: Ceilings, shaders: readonly string[]): number {
  const arithmetic = matrix && shaders.some((shader) => shader.endsWith('Matrix')) ? matrix : fma;
  return Math.max(flop / arithmetic.rate, bytes / copy.rate) / 1e6;
}
