// y = factor * x over `count` vec4f. Assigns. Layout does not matter; pads stay zero.
// Workgroups of 64, folded over x and y, take 64 * RUN vec4f that lie together.

struct Params {
  count: u32,
  factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let first = (id.x / 64 + id.y * groups.x) * ${64 * RUN} + id.x % 64;
#for k in 0..RUN
  {
    let i = first + ${64 * k};
    if (i < params.count) {
      y[i] = params.factor * x[i];
    }
  }
#end
}
