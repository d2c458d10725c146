// Ceiling of arithmetic for `trimap bench`: per invocation LOOPS * REPEATS * CHAINS fused multiply-adds in registers.
// 12 chains: llvmpipe makes of each multiply-add a multiply and an add, 3 + 3 cycles with two pipes each on a Zen 4, which
// takes 12 independent ones to fill; a GPU needs fewer, and 12 registers cost it no occupancy. Two threads of a Zen 4
// EPYC, llvmpipe, 8 lanes, GFLOP/s: 123 with 8 chains, 148 with 11, 180 with 12 (193 with 128 repeats, 190 in 16 lanes), 40
// with 13, whose values LLVM spills. A core of a Xeon: 31 with 8 chains and 64 repeats, 19 with 8 repeats, 13 with 6 chains of vec4f.
// `seed` is 0.5, 0.25, so that the compiler cannot fold the chains and nothing overflows. Assigns y.
// One invocation a vec4f of y, workgroups of 64 folded over x and y; constants CHAINS, REPEATS, LOOPS.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> seed: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.count) {
    return;
  }
  let factor = seed[0].x;
  let term = seed[0].y;
#for k in 0..CHAINS
  var a${k} = f32(i + ${k});
#end
  for (var l = 0; l < LOOPS; l++) {
#for repeat in 0..REPEATS
#for k in 0..CHAINS
    a${k} = fma(a${k}, factor, term);
#end
#end
  }
  var sum = 0.0;
#for k in 0..CHAINS
  sum += a${k};
#end
  y[i] = vec4f(sum);
}
