// y = factor * x over `count` vec4f. Assigns. Layout does not matter; pads stay zero.
// Workgroups of THREADS, folded over x and y, take `span` vec4f that lie together.

struct Params {
  count: u32,
  span: u32,
  factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    y[i] = params.factor * x[i];
  }
}
