// conv2dPlain: convolution and transposed convolution, one quad of output channels per thread. The obvious form: the
// one that the fast forms are tested against, and that runs on any adapter.
//
//   y[n,oy,ox,o] = bias[o] + sum over ky,kx,r of x[n,iy,ix,r] * w[r,ky,kx,o]
//     transposed = 0:  iy = oy*strideY + ky - padTop                          (likewise ix; outside the input: nothing)
//     transposed = 1:  iy = (oy + padTop - ky) / strideY where that divides   (the data gradient of a strided conv2d)
//
// x, y  images (n, h, w, quads) of Quad (vec4f or vec4h) over channels, pad channels 0; sums are f32 either way
// w     filter (r4, tap, o) of vec4 over r, tap = ky*kernelWidth + kx, o up to 4*outputQuads, pads 0
// bias  outputQuads vec4, pads 0; not read when hasBias = 0 (the host then binds any buffer, the filter say)
// Threads: 64 along the output's quads; the host dispatches enough of them in x and y. Assigns y, pads included; ADD:
// adds to it.

struct Params {
#include convolutionParams
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<Quad>;

/** The input row (or column) that tap k of output row o reads, or -1. */
fn source(o: u32, k: u32, stride: i32, pad: i32, size: u32) -> i32 {
  var i = i32(o) * stride + i32(k) - pad;
  if (params.transposed != 0u) {
    let shifted = i32(o) + pad - i32(k);
    if (shifted < 0 || shifted % stride != 0) {
      return -1;
    }
    i = shifted / stride;
  }
  return select(-1, i, i >= 0 && i < i32(size));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let element = (group.y * groups.x + group.x) * 64u + local;
  let o4 = element % params.outputQuads;
  let pixel = element / params.outputQuads;
  let ox = pixel % params.outputWidth;
  let oy = pixel / params.outputWidth % params.outputHeight;
  let n = pixel / params.outputWidth / params.outputHeight;
  if (n >= params.batch) {
    return;
  }
  let taps = params.kernelHeight * params.kernelWidth;
  var sum = vec4f();
  if (params.hasBias != 0u) {
    sum = bias[o4];
  }
  for (var ky = 0u; ky < params.kernelHeight; ky++) {
    let iy = source(oy, ky, i32(params.strideY), params.padTop, params.inputHeight);
    for (var kx = 0u; kx < params.kernelWidth; kx++) {
      let ix = source(ox, kx, i32(params.strideX), params.padLeft, params.inputWidth);
      if (iy < 0 || ix < 0) {
        continue;
      }
      let base = ((n * params.inputHeight + u32(iy)) * params.inputWidth + u32(ix)) * params.inputQuads;
      for (var r4 = 0u; r4 < params.inputQuads; r4++) {
        let value = vec4f(x[base + r4]);
        let at = ((r4 * taps + ky * params.kernelWidth + kx) * params.outputQuads + o4) * 4u;
        sum += vec4f(dot(value, w[at]), dot(value, w[at + 1u]), dot(value, w[at + 2u]), dot(value, w[at + 3u]));
      }
    }
  }
#if ADD
  y[element] = Quad(vec4f(y[element]) + sum);
#else
  y[element] = Quad(sum);
#end
}
