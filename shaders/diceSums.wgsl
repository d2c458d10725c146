// terms:    sums[first + image][part] = (sum of p t, sum of p, sum of t, 0) over a part of an image and its channels
// gradient: dp = dSums[row].x * t + dSums[row].y, where row = rowStep * image: 0 for sums over the batch, the image for
//           sums per image
// Places with t < 0 are left out: of the sums, and dp is 0 there.
// Images of `channels` channels, `length` vec4f each; a range of `images` of the batch, beginning with image `first`.
// Invocation `part` of `parts` an image takes its vec4f part, part + parts, ... Assign; pads zero.
// Workgroups of 64 folded over x and y.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  channels: u32,
  rowStep: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> p: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dSums: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dp: array<vec4f>;

fn is_channel(i: u32) -> vec4<bool> {
  let quads = (params.channels + 3) / 4;
  return vec4u(0, 1, 2, 3) + (i % quads) * 4 < vec4u(params.channels);
}

@compute @workgroup_size(64)
fn terms(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64;
  if (at >= params.images * params.parts) {
    return;
  }
  let image = at / params.parts;
  var pt = vec4f();
  var ps = vec4f();
  var ts = vec4f();
  for (var k = at % params.parts; k < params.length; k += params.parts) {
    let i = image * params.length + k;
    let left_out = t[i] < vec4f(0);
    let truth = select(t[i], vec4f(0), left_out);
    pt += p[i] * truth;
    ps += select(p[i], vec4f(0), left_out);
    ts += truth;
  }
  let one = vec4f(1);
  sums[params.first * params.parts + at] = vec4f(dot(pt, one), dot(ps, one), dot(ts, one), 0);
}

@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.images * params.length) {
    return;
  }
  let d = dSums[(params.first + i / params.length) * params.rowStep];
  dp[i] = select(vec4f(0), d.x * t[i] + d.y, is_channel(i) & !(t[i] < vec4f(0)));
}
