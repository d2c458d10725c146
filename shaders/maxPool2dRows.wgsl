// maxPool2dRows: maxPool2d where windows overlap (KERNEL > STRIDE), on CPU adapters: threads walk down rows, so that what is loaded
// serves all windows that it lies in. Images, taps and formulas as in maxPool2d.
//
//   forward   a row of x is reduced along itself to its part of each window, and then belongs to WINDOWS windows below each other
//   gradient  a block of STRIDE x STRIDE pixels of dx takes part in WINDOWS x WINDOWS windows; of them only the lowest are loaded
//
// The host guarantees the same as for maxPool2d. WINDOWS = ceil(KERNEL / STRIDE).
// Threads: x along the row, (column * quads + quad), a column being one of y (forward) or of blocks (gradient); each goes down `run`
// rows of y or of blocks from y * run on; z images. Assigns; pads stay zero.
// Measured, KERNEL 3, STRIDE 2, 4x16x64x64 (llvmpipe, Mesa 25.0.7, 8 lanes, two threads of a 2.6 GHz Zen 4), ms, of which an empty
// call takes 0.05: forward 0.23, gradient 0.21 (a thread for each window or block, reading texels: 0.28, 0.27). Forward with two and
// four columns of y a thread, which share loads, too: 0.22, 0.28.

struct Params {
  quads: i32,
  run: i32,
  inputHeight: i32,
  inputWidth: i32,
  outputHeight: i32,
  outputWidth: i32,
  // of blocks
  rows: i32,
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
fn forward(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  let column = divide(at.x, quads);
  if (column >= params.outputWidth) {
    return;
  }
  let quad = at.x - column * quads;
  let left = column * STRIDE - PADDING;
  // Windows that have been begun, the topmost first.
#for w in 0..WINDOWS
  var best${w} = vec4f();
  var tap${w} = vec4u();
#end
  let end = min((at.y + 1) * params.run, params.outputHeight);
  var iy = max(at.y * params.run * STRIDE - PADDING, 0);
  for (var oy = at.y * params.run; oy < end; oy++) {
    let top = oy * STRIDE - PADDING;
    for (; iy < top + KERNEL; iy++) {
      // Outside the image stands the pixel inside that is nearest: it was there before, so it is not larger.
      let line = (at.z * params.inputHeight + min(iy, params.inputHeight - 1)) * params.inputWidth;
      var largest = vec4f(x[(line + max(left, 0)) * quads + quad]);
      var place = vec4u(u32(max(-left, 0)));
#for k in 1..KERNEL
      {
        let value = vec4f(x[(line + clamp(left + ${k}, 0, params.inputWidth - 1)) * quads + quad]);
        let larger = value > largest;
        largest = select(largest, value, larger);
        place = select(place, vec4u(${k}), larger);
      }
#end
      // Before a window begins it may hold anything.
#for w in 0..WINDOWS
      {
        let begin = top + ${w * STRIDE};
        let larger = vec4<bool>(iy == max(begin, 0)) | (largest > best${w});
        best${w} = select(best${w}, largest, larger);
        tap${w} = select(tap${w}, place + u32((iy - begin) * KERNEL), larger);
      }
#end
    }
    let to = ((at.z * params.outputHeight + oy) * params.outputWidth) * quads + at.x;
    y[to] = Quad(best0);
    taps[to] = tap0.x | (tap0.y << 8) | (tap0.z << 16) | (tap0.w << 24);
#for w in 1..WINDOWS
    best${w - 1} = best${w};
    tap${w - 1} = tap${w};
#end
  }
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  let block = divide(at.x, quads);
  if (block >= params.columns) {
    return;
  }
  let quad = at.x - block * quads;
  let left = block * STRIDE - PADDING;
  // Windows that begin with this block, and with those before it; above each other, and side by side.
#for j in 0..WINDOWS
#for k in 0..WINDOWS
  var d${j}_${k} = vec4f();
  var found${j}_${k} = vec4u();
#end
#end
  let first = at.y * params.run;
  let end = min(first + params.run, params.rows);
  for (var row = first - (WINDOWS - 1); row < end; row++) {
#for k in 0..WINDOWS
#for i in 1..WINDOWS
    d${WINDOWS - i}_${k} = d${WINDOWS - i - 1}_${k};
    found${WINDOWS - i}_${k} = found${WINDOWS - i - 1}_${k};
#end
    d0_${k} = vec4f();
    if (row >= 0 && row < params.outputHeight && block >= ${k} && block - ${k} < params.outputWidth) {
      let o = ((at.z * params.outputHeight + row) * params.outputWidth + block - ${k}) * quads + quad;
      d0_${k} = vec4f(dy[o]);
      found0_${k} = (vec4u(taps_saved[o]) >> vec4u(0, 8, 16, 24)) & vec4u(255);
    }
#end
    if (row < first) {
      continue;
    }
    let top = row * STRIDE - PADDING;
#include maxPoolBlock
  }
}
