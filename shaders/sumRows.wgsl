// One pass of a long sum: rows of `length` vec4f, each with `inner` sums beside each other, become rows of `parts`.
//   y[row][part][i] = scale * (x[row][part][i] + x[row][part + parts][i] + x[row][part + 2 parts][i] + ...), in that
//   order
// ACROSS: the four lanes are added too; y holds the sum in its first lane and zeros in the others.
//
// x  [rows][length][inner];  y  [...][parts][inner], assigned from row `firstRow` on
// One invocation a vec4f of y, workgroups of 64 folded over x and y. Neighbours read neighbouring vec4f.

struct Params {
  rows: u32,
  length: u32,
  inner: u32,
  parts: u32,
  firstRow: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64;
  if (at >= params.rows * params.parts * params.inner) {
    return;
  }
  let i = at % params.inner;
  let part = at / params.inner % params.parts;
  let row = at / (params.inner * params.parts);
  var sum = vec4f();
  for (var k = part; k < params.length; k += params.parts) {
    sum += x[(row * params.length + k) * params.inner + i];
  }
#if ACROSS
  sum = vec4f(sum.x + sum.y + sum.z + sum.w, 0, 0, 0);
#end
  y[((params.firstRow + row) * params.parts + part) * params.inner + i] = sum * params.scale;
}
