enable f16;
// filterHalves: a filter as matrix units load it, made once for each use of it.
//
//   y[tap, r, o] = w[r, tap, o] as f16; zero where r or o is past the filter's own
//
// w  filter (r4, tap, o) of vec4f over r, o up to `outs`
// y  `taps` matrices of `depth` rows and `columns` columns, row by row, as vec4h over o
// Threads: 64 along y's vec4h; the host dispatches enough of them in x and y. Assigns all of y.

struct Params {
  inputQuads: u32,
  outs: u32,
  taps: u32,
  depth: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4h>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64u;
  let across = params.columns / 4u;
  let o = at % across * 4u;
  let r = at / across % params.depth;
  let tap = at / across / params.depth;
  if (tap >= params.taps) {
    return;
  }
  var value = vec4f();
  if (r < params.inputQuads * 4u && o < params.outs) {
    let first = (r / 4u * params.taps + tap) * params.outs + o;
#for j in 0..4
    value[${j}] = w[first + ${j}u][r % 4u];
#end
  }
  y[at] = vec4h(value);
}
