// Dice, Tversky and Jaccard losses over `rows` of sums (sum of p t, sum of p, sum of t, 0), one for the batch or one an
// image. With U = above * pt + epsNum and D = both * pt + predicted * p + truth * t + epsDen:
// forward:  loss = mean over rows of 1 - U / D
// gradient: dSums = dLoss / rows * (both * U / D - above, predicted * U / D, truth * U / D, 0) / D
// Assign; pads zero. forward: one invocation, rows in order; gradient: one invocation a row.

struct Params {
  rows: u32,
  above: f32,
  both: f32,
  predicted: f32,
  truth: f32,
  epsNum: f32,
  epsDen: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> loss: array<vec4f>;
@group(0) @binding(3) var<storage, read> dLoss: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dSums: array<vec4f>;

fn denominator(s: vec4f) -> f32 {
  return params.both * s.x + params.predicted * s.y + params.truth * s.z + params.epsDen;
}

@compute @workgroup_size(1)
fn forward() {
  var total = 0.0;
  for (var row = 0u; row < params.rows; row++) {
    let s = sums[row];
    total += 1 - (params.above * s.x + params.epsNum) / denominator(s);
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
  let below = denominator(s);
  let ratio = (params.above * s.x + params.epsNum) / below;
  let parts = vec4f(params.both * ratio - params.above, params.predicted * ratio, params.truth * ratio, 0);
  dSums[row] = dLoss[0].x / f32(params.rows) * parts / below;
}
