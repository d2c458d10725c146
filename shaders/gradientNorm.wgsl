// gradientNorm: sums[first + part] = squares of RUN of the gradient's vec4f, `length` in all, added up: a workgroup takes THREADS * RUN that
//        lie together, an invocation every THREADS-th of them. Runs that stride through the whole arena are half as fast (1.8
//        against 4.2 GB/s, 1.9 M parameters, llvmpipe, Mesa 25.0.7, 8 lanes, two threads of a 2.5 GHz Xeon), workgroups of 64
//        half as fast as those of 8 (6.6 and 14 GB/s, two threads of a Zen 4 EPYC).
// The space between variables holds zeros, so that a whole chunk of the arena can be squared. Assign.
// One invocation a part (parts: a multiple of THREADS), workgroups folded over x and y. sumRows adds the sums and takes the root.

struct Params {
  length: u32,
  parts: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let part = id.x + id.y * groups.x * THREADS;
  if (part >= params.parts) {
    return;
  }
  var sum = vec4f();
  let start = part / THREADS * ${THREADS * RUN}u + part % THREADS;
  let end = min(start + ${THREADS * RUN}u, params.length);
  for (var i = start; i < end; i += THREADS) {
    let g = gradient[i];
    sum += g * g;
  }
  sums[params.first + part] = sum;
}
