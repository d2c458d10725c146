// With e = exp(-|z|), p = sigmoid(z), q = p + t - 2 p t, a = positive * t + negative * (1 - t) and
// ce = max(z, 0) - z t + log(1 + e):
// terms:    sums[first + image][part] = scale * sum over a part of an image of  a q^gamma ce
// gradient: dz = scale * dLoss * a q^gamma ((p - t) + gamma (1 - 2 t) p (1 - p) / q * ce)
// For t of 0 and 1, p (1 - p) / q is 1 - q, also where q is too small for a float. Other t are not expected.
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
  gamma: f32,
  positive: f32,
  negative: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dLoss: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dz: array<vec4f>;

#include isChannel

#include log1p

struct Pixel {
  ce: vec4f,
  p: vec4f,
  q: vec4f,
  // a q^gamma
  factor: vec4f,
}

fn pixel(logit: vec4f, truth: vec4f) -> Pixel {
  let e = exp(-abs(logit));
  let small = e / (1 + e);
  let large = 1 / (1 + e);
  let positive = logit >= vec4f(0);
  let p = select(small, large, positive);
  // 1 - p without rounding: a sure and right pixel keeps its tiny q.
  let q = select(p, select(large, small, positive), truth > vec4f(0.5));
  let ce = max(logit, vec4f(0)) - logit * truth + log1p(e);
  let a = select(vec4f(params.negative), vec4f(params.positive), truth > vec4f(0.5));
  return Pixel(ce, p, q, a * exp2(params.gamma * log2(max(q, vec4f(1e-37)))));
}

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
  var sum = vec4f();
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = image * params.length + k;
    let x = pixel(z[i], t[i]);
    sum += select(vec4f(0), x.factor * x.ce, is_channel(i) & !(t[i] < vec4f(0)));
  }
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = params.scale * sum;
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = group.y * params.length + k;
    let truth = t[i];
    let x = pixel(z[i], truth);
    let d = x.factor * ((x.p - truth) + params.gamma * (1 - 2 * truth) * (1 - x.q) * x.ce);
    dz[i] = select(vec4f(0), params.scale * dLoss[0].x * d, is_channel(i) & !(truth < vec4f(0)));
  }
}
