// maxPool2d: the largest value of each window, and its gradient. A window is KERNEL x KERNEL pixels of x from
// (oy*STRIDE - PADDING, ox*STRIDE - PADDING) on; what lies outside x does not count.
//
//   forward   y = the maximum, taps = where it was first found in row-major order: ky*KERNEL + kx
//   gradient  dx = sum of dy over the windows whose maximum this pixel is, the last window first. Windows overlap blocks of
//             STRIDE x STRIDE pixels alike, so dy and taps are loaded once for all pixels of a block.
//
// x, dx     images, inputHeight by inputWidth;  y, dy  images, outputHeight by outputWidth; `quads` Quad a pixel
//           (vec4f, or vec4h where images are stored as f16)
// taps      one u32 a Quad of y, 8 bits a channel. Keeping them costs 1/16 of x where STRIDE = 2; finding them again would cost
//           KERNEL^2 loads a window.
// The host guarantees that each window has a pixel inside (PADDING <= KERNEL / 2) and KERNEL <= 16.
// Threads: one a vec4 of y (forward) or of a block of dx (gradient), going on along the row: x along the row (column * quads +
// quad), y rows, z images. Assigns; pads stay zero.

struct Params {
  quads: i32,
  inputHeight: i32,
  inputWidth: i32,
  outputHeight: i32,
  outputWidth: i32,
  // of a row of the dispatch
  columns: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
@group(0) @binding(3) var<storage, read_write> taps: array<u32>;
@group(0) @binding(4) var<storage, read> taps_saved: array<u32>;
@group(0) @binding(5) var<storage, read> dy: array<Quad>;
@group(0) @binding(6) var<storage, read_write> dx: array<Quad>;

#include divide

@compute @workgroup_size(THREADS)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  let size = vec2i(params.inputHeight, params.inputWidth);
  let top = at.y * STRIDE - PADDING;
  for (var i = at.x; i < params.columns * quads; i += i32(groups.x) * THREADS) {
    let column = divide(i, quads);
    let quad = i - column * quads;
    let left = column * STRIDE - PADDING;
    // Outside the image stands the pixel inside that is nearest, and never wins. The first tap becomes the first one inside.
    var best = vec4f();
    var bestTap = vec4u(u32(max(-top, 0) * KERNEL + max(-left, 0)));
#for ky in 0..KERNEL
    {
      let iy = clamp(top + ${ky}, 0, size.x - 1);
      let line = (at.z * size.x + iy) * size.y;
#for kx in 0..KERNEL
      {
        let ix = clamp(left + ${kx}, 0, size.y - 1);
        let value = vec4f(x[(line + ix) * quads + quad]);
#if ky + kx == 0
        best = value;
#else
        let larger = (value > best) & vec4<bool>(iy == top + ${ky} && ix == left + ${kx});
        best = select(best, value, larger);
        bestTap = select(bestTap, vec4u(${ky * KERNEL + kx}), larger);
#end
      }
#end
    }
#end
    let to = (at.z * params.outputHeight + at.y) * params.outputWidth * quads + i;
    y[to] = Quad(best);
    taps[to] = bestTap.x | (bestTap.y << 8) | (bestTap.z << 16) | (bestTap.w << 24);
  }
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  for (var i = at.x; i < params.columns * quads; i += i32(groups.x) * THREADS) {
    let block = divide(i, quads);
    let quad = i - block * quads;
    // Windows that begin with this block, and with those before it.
#for j in 0..(KERNEL + STRIDE - 1) / STRIDE
#for k in 0..(KERNEL + STRIDE - 1) / STRIDE
    var d${j}_${k} = vec4f();
    var found${j}_${k} = vec4u();
    {
      let oy = at.y - ${j};
      let ox = block - ${k};
      if (oy >= 0 && oy < params.outputHeight && ox >= 0 && ox < params.outputWidth) {
        let o = u32(((at.z * params.outputHeight + oy) * params.outputWidth + ox) * quads + quad);
        d${j}_${k} = vec4f(dy[o]);
        found${j}_${k} = (vec4u(taps_saved[o]) >> vec4u(0, 8, 16, 24)) & vec4u(255);
      }
    }
#end
#end
    let top = at.y * STRIDE - PADDING;
    let left = block * STRIDE - PADDING;
#include maxPoolBlock
  }
}
