// terms:    sums[first + image][part] = scale * sum over a part of an image of  -(t log(p) + (1 - t) log(1 - p)),
//           logarithms not below -100
// gradient: dp = scale * dLoss * (p - t) / max(p (1 - p), 1e-12)
// Images of `channels` channels, `length` vec4f each; a range of `images` of the batch, beginning with image `first`.
// Invocation `part` of `parts` an image takes its vec4f part, part + parts, ... Assign; pads zero.
// Workgroups of 64 folded over x and y.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  channels: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> p: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dLoss: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dp: array<vec4f>;

fn is_channel(i: u32) -> vec4<bool> {
  let quads = (params.channels + 3) / 4;
  return vec4u(0, 1, 2, 3) + (i % quads) * 4 < vec4u(params.channels);
}

// log(0) is an indeterminate value in WGSL; `select` rather than `max` lets a NaN through.
fn clamped_log(x: vec4f) -> vec4f {
  let value = log(x);
  return select(value, vec4f(-100), (x <= vec4f(0)) | (value < vec4f(-100)));
}

@compute @workgroup_size(64)
fn terms(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64;
  if (at >= params.images * params.parts) {
    return;
  }
  let image = at / params.parts;
  var sum = vec4f();
  for (var k = at % params.parts; k < params.length; k += params.parts) {
    let i = image * params.length + k;
    let term = -(t[i] * clamped_log(p[i]) + (1 - t[i]) * clamped_log(1 - p[i]));
    sum += select(vec4f(0), term, is_channel(i));
  }
  sums[params.first * params.parts + at] = params.scale * sum;
}

@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.images * params.length) {
    return;
  }
  let q = p[i];
  let slope = (q - t[i]) / max(q * (1 - q), vec4f(1e-12));
  dp[i] = select(vec4f(0), params.scale * dLoss[0].x * slope, is_channel(i));
}
