// Over `rows` of sums (sum of p t, sum of p, sum of t, 0), one for the batch or one an image:
// forward:  loss = mean over rows of 1 - (2 pt + epsNum) / (p + t + epsDen)
// gradient: with U = 2 pt + epsNum and D = p + t + epsDen, dSums = dLoss / rows * (-2 / D, U / D^2, U / D^2, 0)
// Assign; pads zero. forward: one invocation, rows in order; gradient: one invocation a row.

struct Params {
  rows: u32,
  epsNum: f32,
  epsDen: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> loss: array<vec4f>;
@group(0) @binding(3) var<storage, read> dLoss: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dSums: array<vec4f>;

@compute @workgroup_size(1)
fn forward() {
  var total = 0.0;
  for (var row = 0u; row < params.rows; row++) {
    let s = sums[row];
    total += 1 - (2 * s.x + params.epsNum) / (s.y + s.z + params.epsDen);
  }
  loss[0] = vec4f(total / f32(params.rows), 0, 0, 0);
}

@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * 64;
  if (row >= params.rows) {
    return;
  }
  let s = sums[row];
  let denominator = s.y + s.z + params.epsDen;
  let ratio = (2 * s.x + params.epsNum) / denominator;
  dSums[row] = dLoss[0].x / f32(params.rows) * vec4f(-2, ratio, ratio, 0) / denominator;
}
