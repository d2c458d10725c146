// y = x in another type, over `count` quads. On the way to f16 what is larger than 65519 becomes infinite; opening a device
// for f16 makes sure of that (engine/halves.ts). Assigns; pads stay zero.
// Quad, To: four channels as x and y hold them, vec4f or vec4h.
// Workgroups of THREADS, folded over x and y, take `span` quads that lie together.

struct Params {
  count: u32,
  span: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<To>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    y[i] = To(x[i]);
  }
}
