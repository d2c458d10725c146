// Assigns the same 32 bits to every word of x.
// One invocation a word, workgroups of 64 folded over x and y.

struct Params {
  count: u32,
  bits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i < params.count) {
    x[i] = params.bits;
  }
}
