// maxPool2d: the largest value of each window, and its gradient. A window is kernel x kernel pixels of x from
// (oy*stride - padding, ox*stride - padding) on; what lies outside x does not count.
//
//   forward   y = the maximum, taps = where it was first found in row-major order: ky*kernel + kx
//   gradient  dx = sum of dy over the windows whose maximum this pixel is, the last window first
//
// x, dx     images, inputHeight by inputWidth;  y, dy  images, outputHeight by outputWidth; `quads` Quad a pixel
//           (vec4f, or vec4h where images are stored as f16)
// taps      one u32 a Quad of y, 8 bits a channel. Keeping them costs 1/16 of x where stride = 2; finding them again would cost
//           kernel^2 loads a window.
// The host guarantees that each window has a pixel inside (padding <= kernel / 2) and kernel <= 16.
// Threads: one a vec4 of y (forward) or of dx (gradient): x along the row (column * quads + quad), y rows, z images. Assigns;
// pads stay zero.

struct Params {
  quads: i32,
  inputHeight: i32,
  inputWidth: i32,
  outputHeight: i32,
  outputWidth: i32,
  kernel: i32,
  stride: i32,
  padding: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
@group(0) @binding(3) var<storage, read_write> taps: array<u32>;
@group(0) @binding(4) var<storage, read> taps_saved: array<u32>;
@group(0) @binding(5) var<storage, read> dy: array<Quad>;
@group(0) @binding(6) var<storage, read_write> dx: array<Quad>;

// a / b for 0 <= a < 2^20. A processor divides eight floats faster than one integer.
fn divide(a: i32, b: i32) -> i32 {
  return i32((f32(a) + 0.5) / f32(b));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.outputWidth * quads) {
    return;
  }
  let column = divide(at.x, quads);
  let quad = at.x - column * quads;
  let corner = vec2i(at.y, column) * params.stride - params.padding;
  let size = vec2i(params.inputHeight, params.inputWidth);
  let first = max(corner, vec2i(0));
  let end = min(corner + params.kernel, size);

  // The first value, rather than -infinity, to begin with: WGSL has no infinity.
  var best = x[((at.z * size.x + first.x) * size.y + first.y) * quads + quad];
  let firstTap = first - corner;
  var bestTap = vec4u(u32(firstTap.x * params.kernel + firstTap.y));
  for (var iy = first.x; iy < end.x; iy++) {
    let row = (at.z * size.x + iy) * size.y;
    let tapRow = (iy - corner.x) * params.kernel - corner.y;
    for (var ix = first.y; ix < end.y; ix++) {
      let value = x[(row + ix) * quads + quad];
      let larger = value > best;
      best = select(best, value, larger);
      bestTap = select(bestTap, vec4u(u32(tapRow + ix)), larger);
    }
  }
  let to = (at.z * params.outputHeight + at.y) * params.outputWidth * quads + at.x;
  y[to] = best;
  taps[to] = bestTap.x | (bestTap.y << 8) | (bestTap.z << 16) | (bestTap.w << 24);
}

@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.inputWidth * quads) {
    return;
  }
  let column = divide(at.x, quads);
  let quad = at.x - column * quads;
  let size = vec2i(params.outputHeight, params.outputWidth);
  // The last window over this pixel, and the pixel's place in it; the window before has it `stride` further on.
  let padded = vec2i(at.y, column) + params.padding;
  let last = vec2i(divide(padded.x, params.stride), divide(padded.y, params.stride));
  let inLast = padded - last * params.stride;

  var sum = vec4f();
  var oy = last.x;
  for (var ky = inLast.x; ky < params.kernel && oy >= 0; ky += params.stride) {
    var ox = last.y;
    for (var kx = inLast.y; kx < params.kernel && ox >= 0; kx += params.stride) {
      if (oy < size.x && ox < size.y) {
        let o = ((at.z * size.x + oy) * size.y + ox) * quads + quad;
        let found = (vec4u(taps_saved[o]) >> vec4u(0, 8, 16, 24)) & vec4u(255);
        sum += select(vec4f(), vec4f(dy[o]), found == vec4u(u32(ky * params.kernel + kx)));
      }
      ox--;
    }
    oy--;
  }
  dx[(at.z * params.inputHeight + at.y) * params.inputWidth * quads + at.x] = Quad(sum);
}
