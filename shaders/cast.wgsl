// y = x in another type, over `count` quads. On the way to f16 what is larger than 65519 becomes infinite; opening a device
// for f16 makes sure of that (engine/halves.ts). Assigns; pads stay zero.
// Quad, To: four channels as x and y hold them, vec4f or vec4h.
// Workgroups of 64, folded over x and y, take 64 * RUN quads that lie together.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<To>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let first = (id.x / 64 + id.y * groups.x) * ${64 * RUN} + id.x % 64;
#for k in 0..RUN
  {
    let i = first + ${64 * k};
    if (i < params.count) {
      y[i] = To(x[i]);
    }
  }
#end
}
