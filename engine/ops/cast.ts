import { type Op, recordOne, type Tensor } from '../graph.js';
import { type Dtype, quadType } from '../layout.js';
import { elementwise } from './elementwise.js';
import { checkImage } from './shapes.js';

export const castOp: Op = {
  name: 'cast',
  lower({ inputs: [x], outputs: [y] }, to) {
    elementwise(to, 'cast', { x, y }, { constants: { To: quadType(y.dtype) } });
  },
  // dx = dy, in x's type
  gradient: ({ inputs: [x] }, [dy]) => [cast(dy!, x.dtype)],
};

/**
 * x [N, C, H, W] with its numbers stored in another type; x itself where they are already.
 * @throws Error unless x is an image
 */
export function cast(x: Tensor, dtype: Dtype): Tensor {
  checkImage('cast', x);
  return x.dtype === dtype ? x : recordOne(castOp, [x], { shape: x.shape, dtype }, {});
}
