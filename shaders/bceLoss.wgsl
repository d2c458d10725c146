// terms:    sums[first + image][part] = scale * sum over a part of an image of  -(t log(p) + (1 - t) log(1 - p)),
//           logarithms not below -100
// gradient: dp = scale * dLoss * (p - t) / max(p (1 - p), 1e-12)
// Images of `channels` channels, `length` vec4f each; a range of the batch, beginning with image `first`.
// Workgroup (x, y) takes the vec4f x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on,
// which are part x * THREADS + l. Assign; pads zero.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  channels: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> p: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dLoss: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dp: array<vec4f>;

#include isChannel

// log(0) is an indeterminate value in WGSL; `select` rather than `max` lets a NaN through.
fn clamped_log(x: vec4f) -> vec4f {
  let value = log(x);
  return select(value, vec4f(-100), (x <= vec4f(0)) | (value < vec4f(-100)));
}

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
  var sum = vec4f();
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = image * params.length + k;
    let term = -(t[i] * clamped_log(p[i]) + (1 - t[i]) * clamped_log(1 - p[i]));
    sum += select(vec4f(0), term, is_channel(i));
  }
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = params.scale * sum;
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = group.y * params.length + k;
    let q = p[i];
    let slope = (q - t[i]) / max(q * (1 - q), vec4f(1e-12));
    dp[i] = select(vec4f(0), params.scale * dLoss[0].x * slope, is_channel(i));
  }
}
