// terms:    sums[first + image][part] = scale * sum over a part of an image of  max(z, 0) - z t + log(1 + exp(-|z|))
// gradient: dz = scale * dLoss * (sigmoid(z) - t)
// WEIGHTED, with w = positiveWeight: the term's  t log(1 + exp(-z))  counts w times.
//   terms adds (w - 1) t (max(-z, 0) + log(1 + exp(-|z|))), gradient is scale * dLoss * ((1 + (w - 1) t) sigmoid(z) - w t)
// Places with t < 0 add nothing, and their dz is 0.
// Images of `channels` channels, `length` vec4f each; a range of the batch, beginning with image `first`.
// Workgroup (x, y) takes the vec4f x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on,
// which are part x * THREADS + l. Assign; pads zero.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  channels: u32,
  scale: f32,
  positiveWeight: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dLoss: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dz: array<vec4f>;

#include isChannel

#include log1p

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
  var sum = vec4f();
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = image * params.length + k;
    let logit = z[i];
    let rest = log1p(exp(-abs(logit)));
    var term = max(logit, vec4f(0)) - logit * t[i] + rest;
#if WEIGHTED
    term += (params.positiveWeight - 1) * t[i] * (max(-logit, vec4f(0)) + rest);
#end
    sum += select(vec4f(0), term, is_channel(i) & !(t[i] < vec4f(0)));
  }
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = params.scale * sum;
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = group.y * params.length + k;
    let logit = z[i];
    let e = exp(-abs(logit));
    let p = select(e, vec4f(1), logit >= vec4f(0)) / (1 + e);
#if WEIGHTED
    let d = (1 + (params.positiveWeight - 1) * t[i]) * p - params.positiveWeight * t[i];
#else
    let d = p - t[i];
#end
    dz[i] = select(vec4f(0), params.scale * dLoss[0].x * d, is_channel(i) & !(t[i] < vec4f(0)));
  }
}
