// report[slot] += the numbers of x that are infinite or NaN: those whose exponent bits are all set. WGSL may assume that
// there are none, so only the bits tell. x: `count` times four numbers, f32 or under HALF f16. The sum is one of integers,
// and so the same in any order. One invocation a four, workgroups of 64 folded over x and y.

struct Params {
  count: u32,
  slot: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#if HALF
@group(0) @binding(1) var<storage, read> x: array<vec2u>;
#else
@group(0) @binding(1) var<storage, read> x: array<vec4u>;
#end
@group(0) @binding(2) var<storage, read_write> report: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.count) {
    return;
  }
#if HALF
  let bits = vec4u(x[i], x[i] >> vec2u(16));
  let allSet = vec4u(0x7c00);
#else
  let bits = x[i];
  let allSet = vec4u(0x7f800000);
#end
  let bad = select(vec4u(0), vec4u(1), (bits & allSet) == allSet);
  let found = bad.x + bad.y + bad.z + bad.w;
  if (found > 0) {
    atomicAdd(&report[params.slot], found);
  }
}
