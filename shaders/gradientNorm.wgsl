// terms: sums[first + part] = squares of the gradient's vec4f part, part + parts, ..., added up; `length` vec4f in all
// root:  norm = sqrt(squared[0].x)
// The space between variables holds zeros, so that a whole chunk of the arena can be squared. Assign.
// terms: one invocation a part, workgroups of 64 folded over x and y. root: one invocation.

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
  for (var i = part; i < params.length; i += params.parts) {
    let g = gradient[i];
    sum += g * g;
  }
  sums[params.first + part] = sum;
}

@compute @workgroup_size(1)
fn root() {
  norm[0] = vec4f(sqrt(squared[0].x), 0, 0, 0);
}
