// terms:    sums[first + image][part] = (sum of p t, sum of p, sum of t, 0) over a part of an image and its channels
// gradient: dp = dSums[row].x * t + dSums[row].y, where row = rowStep * image: 0 for sums over the batch, the image for
//           sums per image
// Places with t < 0 are left out: of the sums, and dp is 0 there.
// Images of `channels` channels, `length` vec4f each; a range of the batch, beginning with image `first`.
// Workgroup (x, y) takes the vec4f x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on,
// which are part x * THREADS + l. Assign; pads zero.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  channels: u32,
  rowStep: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> p: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dSums: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dp: array<vec4f>;

#include isChannel

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
  var pt = vec4f();
  var ps = vec4f();
  var ts = vec4f();
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = image * params.length + k;
    let left_out = t[i] < vec4f(0);
    let truth = select(t[i], vec4f(0), left_out);
    pt += p[i] * truth;
    ps += select(p[i], vec4f(0), left_out);
    ts += truth;
  }
  let one = vec4f(1);
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = vec4f(dot(pt, one), dot(ps, one), dot(ts, one), 0);
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = group.y * params.length + k;
    let d = dSums[(params.first + i / params.length) * params.rowStep];
    dp[i] = select(vec4f(0), d.x * t[i] + d.y, is_channel(i) & !(t[i] < vec4f(0)));
  }
}
