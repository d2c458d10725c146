// Sums over the micro-batches of a step; control = (0 for the first of them, 1 for the others; one over their number).
// gradients: gradient = sum = gradient + control.x * sum, `count` vec4f of a chunk of the arenas
// losses:    total = control.y * loss + control.x * total
// What an earlier step left is not looked at where control.x is 0, so that a NaN does not live on.
// gradients: one invocation a vec4f, workgroups of 64 folded over x and y. losses: one invocation.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(3) var<storage, read> control: array<vec4f>;
@group(0) @binding(4) var<storage, read> loss: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> total: array<vec4f>;

@compute @workgroup_size(64)
fn gradients(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.count) {
    return;
  }
  var g = gradient[i];
  if (control[0].x != 0) {
    g += sum[i];
    gradient[i] = g;
  }
  sum[i] = g;
}

@compute @workgroup_size(1)
fn losses() {
  var mean = control[0].y * loss[0].x;
  if (control[0].x != 0) {
    mean += total[0].x;
  }
  total[0] = vec4f(mean, 0, 0, 0);
}
