import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import type { Lowering } from '../lowering.js';
import type { Variables } from '../variables.js';
import type { Constants } from '../wgsl.js';

/** What goes on between the gradients and the update. */
export interface UpdateOptions {
  /** Gradients are multiplied by min(1, clipNorm / (norm + 1e-6)) first, as torch.nn.utils.clip_grad_norm_ does. */
  clipNorm?: number;
  /** Gradients are multiplied by its first number before that, and where the second is 0 nothing changes (`lossScaleUpdate`). */
  gate?: Tensor;
}

interface Update extends UpdateOptions {
  constants: Constants;
  params: Record<string, number>;
  /** Arenas of the optimizer's state by the shader's variable names. */
  state: Record<string, string>;
  /** What changes from step to step. */
  hyper: Tensor;
  /** See `gradientSquares`. */
  squares: Tensor;
  /** A vector [1] that takes the norm of all gradients, without the scale that the gate takes from them and before clipping. */
  norm: Tensor;
}

/**
 * The invocations of a workgroup, one subgroup on a processor, and the vec4f that each updates with one sum over the squares. Adam with
 * clipping, the squares included, 31 M parameters, llvmpipe with 8 lanes on two cores of a Zen 4: 69 ms with runs of 32, 60.5 with 256,
 * 59 with 1024, too long for small nets on many cores. 75 with a norm of four dispatches and workgroups of 64 that took four vec4f each,
 * a quarter of the arena apart.
 */
const teamOf = ({ cpu, subgroupSize }: DeviceTraits) =>
  cpu ? { THREADS: Math.max(8, subgroupSize), RUN: 256 } : { THREADS: 64, RUN: 8 };

/**
 * Dispatches an optimizer's kernel over all parameters at once: over the chunks of the arenas. The shader gets THREADS, RUN (vec4f an
 * invocation), `count` (vec4f), `chunk` and `clipNorm`, the constants CLIP and GATED, and binds `parameter`, `gradient`, `hyper`, its
 * state, `squares`, `norm` and, under GATED, `gate`.
 */
export function overParameters(to: Lowering, shader: string, variables: Variables, update: Update): void {
  const { constants, params, state, hyper, squares, norm, clipNorm, gate } = update;
  const parameters = variables.arena('parameters');
  const gradients = variables.arena('gradient');
  const team = teamOf(to.traits);
  parameters.chunkBytes.forEach((bytes, chunk) => {
    const arenas = Object.entries(state).map(
      ([name, arena]) => [name, { arena: variables.arena(arena), chunk }] as const,
    );
    const count = bytes / 16;
    to.dispatch({
      shader,
      constants: { ...constants, ...team, CLIP: clipNorm !== undefined, GATED: gate !== undefined },
      params: { count, chunk, clipNorm: clipNorm ?? 0, ...params },
      bindings: {
        parameter: { arena: parameters, chunk },
        gradient: { arena: gradients, chunk },
        hyper,
        ...Object.fromEntries(arenas),
        squares,
        norm,
        ...(gate ? { gate } : {}),
      },
      workgroups: to.flat(count, team.THREADS * team.RUN),
    });
  });
}
