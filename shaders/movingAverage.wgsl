// average = value + decay * (average - value), `count` vec4f of a chunk of the arenas; decay 0 forgets what was there.
// One invocation a vec4f, workgroups of 64 folded over x and y.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> value: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> average: array<vec4f>;
@group(0) @binding(3) var<storage, read> decay: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.count) {
    return;
  }
  let now = value[i];
  average[i] = now + decay[0].x * (average[i] - now);
}
