// conv2dWeightGradientPlain: gradient of a convolution's or transposed convolution's filter, one quad per thread. The
// obvious form: the one that the fast forms are tested against, and that runs on any adapter.
//
//   dw[r,ky,kx,o] = sum over n,py,px of a[n,ya,xa,r] * b[n,yb,xb,o]
//     (py, px) run over height x width; ya = py*aStrideY + ky*aTap - aPadTop, likewise xa, yb, xb; what lies outside a or
//     b adds nothing. a is the input, b the gradient of the output, and the taps shift the one that is larger:
//     conv2d:           (py, px) over the output, aStride = stride, aTap = 1, aPad = padding, bStride = 1, bTap = bPad = 0
//     convTranspose2d:  (py, px) over the input, aStride = 1, aTap = aPad = 0, bStride = stride, bTap = 1, bPad = padding
//
// a, b  images (n, h, w, quads) of Quad (vec4f or vec4h) over channels, pad channels 0
// dw    filter (r4, tap, o) of vec4 over r; assigned, pads 0 because the images' pads are
// Threads: 64 along dw; the host dispatches enough of them in x and y.

struct Params {
#include weightGradientParams
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>;
@group(0) @binding(2) var<storage, read> b: array<Quad>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let element = (group.y * groups.x + group.x) * 64u + local;
  let taps = params.kernelHeight * params.kernelWidth;
  let outs = params.bQuads * 4u;
  let o = element % outs;
  let tap = element / outs % taps;
  let r4 = element / outs / taps;
  if (r4 >= params.aQuads) {
    return;
  }
  let k = vec2u(tap / params.kernelWidth, tap % params.kernelWidth);
  let aShift = vec2i(k * params.aTap) - vec2i(params.aPadTop, params.aPadLeft);
  let bShift = vec2i(k * params.bTap) - vec2i(params.bPadTop, params.bPadLeft);
  let aSize = vec2i(vec2u(params.aHeight, params.aWidth));
  let bSize = vec2i(vec2u(params.bHeight, params.bWidth));
  var sum = vec4f();
  for (var n = 0u; n < params.batch; n++) {
    for (var py = 0u; py < params.height; py++) {
      for (var px = 0u; px < params.width; px++) {
        let ia = vec2i(vec2u(py, px) * vec2u(params.aStrideY, params.aStrideX)) + aShift;
        let ib = vec2i(vec2u(py, px) * vec2u(params.bStrideY, params.bStrideX)) + bShift;
        if (all(ia >= vec2i()) && all(ia < aSize) && all(ib >= vec2i()) && all(ib < bSize)) {
          let fromA = ((n * params.aHeight + u32(ia.x)) * params.aWidth + u32(ia.y)) * params.aQuads + r4;
          let fromB = ((n * params.bHeight + u32(ib.x)) * params.bWidth + u32(ib.y)) * params.bQuads + o / 4u;
          sum += vec4f(a[fromA]) * vec4f(b[fromB])[o % 4u];
        }
      }
    }
  }
  dw[element] = sum;
}
