// y = a + b, or with RELU max(a + b, 0), over `count` vec4f. Assigns. Layout does not matter; pads stay zero.
// Workgroups of 64, folded over x and y, take 64 * RUN vec4f that lie together.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let first = (id.x / 64 + id.y * groups.x) * ${64 * RUN} + id.x % 64;
#for k in 0..RUN
  {
    let i = first + ${64 * k};
    if (i < params.count) {
#if RELU
      y[i] = max(a[i] + b[i], vec4f(0));
#else
      y[i] = a[i] + b[i];
#end
    }
  }
#end
}
