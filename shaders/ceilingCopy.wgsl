// Ceiling of memory for `trimap bench`: y = x; assigns. Invocation k copies the vec4f k, k + parts, ..., RUN of them.
// llvmpipe, 32 MiB, GB/s a core: 2.3 with RUN 1, 3.2 with 4, 3.5 with 8.
// Workgroups of 64 folded over x and y; constant RUN.

struct Params {
  parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i < params.parts) {
#for k in 0..RUN
    y[i + params.parts * ${k}] = x[i + params.parts * ${k}];
#end
  }
}
