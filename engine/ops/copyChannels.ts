import type { DeviceTraits } from '../device.js';
import type { Tensor } from '../graph.js';
import { quadType, vec4s } from '../layout.js';
import type { ImageRange, Lowering } from '../lowering.js';
import { overRows } from './rows.js';

/** Rows of an invocation that copies whole quads: a graphics card wants more invocations instead. */
const runOf = ({ cpu }: DeviceTraits): number => (cpu ? 8 : 2);

/**
 * Writes the channels of x into y so that channel 0 of x becomes channel `offset` of y. Channels of x that fall
 * outside y are left out.
 * @param keep with it only the quads that x reaches are written, and channels of y before `offset` stay as they are;
 * without it every channel of y that x does not reach becomes zero
 */
export function copyChannels(
  to: Lowering,
  x: Tensor,
  y: Tensor,
  range: ImageRange,
  offset: number,
  keep: boolean,
): void {
  const [, inputs, height, width] = x.shape;
  const outputs = y.shape[1];
  const first = Math.max(offset, 0);
  const end = Math.min(offset + inputs, outputs);
  const firstQuad = keep ? Math.floor(first / 4) : 0;
  const quads = (keep ? vec4s(end) : vec4s(outputs)) - firstQuad;
  // Behind the last channel of x its pads are the zeros that belong there; other channels of x would not be.
  const endsWhole = end % 4 === 0 || end === offset + inputs;
  const quadsReached = vec4s(end) - firstQuad === quads && Math.floor(first / 4) === firstQuad;
  const run = runOf(to.traits);
  const rows = range.count * height;
  const groups = Math.ceil(rows / run);
  if (offset % 4 === 0 && endsWhole && quadsReached && groups <= to.traits.maxWorkgroups) {
    to.dispatch({
      shader: 'copyQuads',
      constants: { RUN: run, Quad: quadType(x.dtype) },
      params: {
        rows,
        width,
        quads,
        inputQuads: vec4s(inputs),
        fromQuad: Math.max(-offset, 0) / 4,
        outputQuads: vec4s(outputs),
        firstQuad,
      },
      bindings: { x: to.images(x, range), y: to.images(y, range) },
      workgroups: [Math.ceil((width * quads) / 64), groups, 1],
    });
    return;
  }
  const { THREADS, workgroups } = overRows(to, y, { rows: height, images: range.count, columns: width, quads });
  to.dispatch({
    shader: 'copyChannels',
    constants: { Quad: quadType(x.dtype), THREADS },
    params: {
      height,
      width,
      inputQuads: vec4s(inputs),
      outputQuads: vec4s(outputs),
      firstQuad,
      quads,
      offset,
      first,
      end,
      keep: Number(keep),
    },
    bindings: { x: to.images(x, range), y: to.images(y, range) },
    workgroups,
  });
}
