// terms: sums[first + part] = squares of RUN of the gradient's vec4f, `length` in all, added up: a workgroup takes 64 * RUN that
//        lie together, an invocation every 64th of them. Runs that stride through the whole arena are half as fast (1.8
//        against 4.2 GB/s, 1.9 M parameters, llvmpipe, Mesa 25.0.7, 8 lanes, two threads of a 2.5 GHz Xeon).
// root:  norm = sqrt(squared[0].x)
// The space between variables holds zeros, so that a whole chunk of the arena can be squared. Assign.
// terms: one invocation a part (parts: a multiple of 64), workgroups of 64 folded over x and y. root: one invocation.

struct Params {
  length: u32,
  parts: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(3) var<storage, read> squared: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> norm: array<vec4f>;

@compute @workgroup_size(64)
fn terms(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let part = id.x + id.y * groups.x * 64;
  if (part >= params.parts) {
    return;
  }
  var sum = vec4f();
  let start = part / 64u * ${64 * RUN}u + part % 64u;
  let end = min(start + ${64 * RUN}u, params.length);
  for (var i = start; i < end; i += 64u) {
    let g = gradient[i];
    sum += g * g;
  }
  sums[params.first + part] = sum;
}

@compute @workgroup_size(1)
fn root() {
  norm[0] = vec4f(sqrt(squared[0].x), 0, 0, 0);
}
