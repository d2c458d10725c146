// stridedSum: y[i] = x[i] + x[i + count] + x[i + 2*count] + ..., in that order; accumulate = 1 begins with the old y[i].
//
//   The weight gradient's partial filters, one after the other in x, become one (count = a filter's vec4s). The bias
//   gradient, a sum over pixels, is made in two such passes: count = lines * quads, then count = quads. Parts of a batch
//   accumulate.
//
// x  `total` Quad (vec4f or vec4h);  y  `count` To, the same of its own
// Threads: 64 along y; the host dispatches enough of them in x and y.

struct Params {
  count: u32,
  total: u32,
  accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<To>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let element = (group.y * groups.x + group.x) * 64u + local;
  if (element >= params.count) {
    return;
  }
  var sum = vec4f();
  if (params.accumulate != 0u) {
    sum = vec4f(y[element]);
  }
  for (var i = element; i < params.total; i += params.count) {
    sum += vec4f(x[i]);
  }
  y[element] = To(sum);
}
