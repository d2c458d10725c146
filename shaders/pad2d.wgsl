// pad2d: y[oy, ox] = x[oy - top, ox - left] where that lies inside x, else 0. Negative amounts crop; the gradient is the same
// kernel with the amounts negated.
//
// x, y  images of inputHeight by inputWidth and outputHeight by outputWidth, `quads` Quad (vec4f or vec4h) a pixel
// Threads: one a vec4 of y, going on along the row: x along the row (column * quads + quad), y rows, z images. Assigns; pads stay
// zero.

struct Params {
  quads: i32,
  inputHeight: i32,
  inputWidth: i32,
  outputHeight: i32,
  outputWidth: i32,
  left: i32,
  top: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = vec3i(id);
  let outputRow = params.outputWidth * params.quads;
  let inputRow = params.inputWidth * params.quads;
  let iy = at.y - params.top;
  let rowInside = iy >= 0 && iy < params.inputHeight;
  for (var i = at.x; i < outputRow; i += i32(groups.x) * THREADS) {
    let ix = i - params.left * params.quads;
    var value = Quad();
    if (rowInside && ix >= 0 && ix < inputRow) {
      value = x[(at.z * params.inputHeight + iy) * inputRow + ix];
    }
    y[(at.z * params.outputHeight + at.y) * outputRow + i] = value;
  }
}
