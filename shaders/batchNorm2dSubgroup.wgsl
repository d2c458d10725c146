enable subgroups;
diagnostic(off, subgroup_uniformity);
// batchNorm2dSubgroup: batch normalisation in training, and its gradients, of maps with few pixels, on CPU adapters (fixed
// subgroup size LANES): formulas, images and vectors as in batchNorm2d. A workgroup is one subgroup and has all pixels of its
// quads, so statistics need no other workgroup, and what are three passes there is one.
//
//   forward    mean_out, variance_out (biased) = moments of x, or with MOMENTS those of its `partials` parts merged; moves the running
//              estimates; NORMALISE: y from them
//   gradient   dweight_out, dbias_out, dx
//   RELU, ADD  as in batchNorm2d
//
// Lanes: `width` quads side by side x LANES / width lines of pixels; width is a power of two that divides `quads`. Lines are added
//   by shuffles between lanes, in a fixed order.
// Measured, the gradients of 4x32x64x64 (llvmpipe, 8 lanes, two threads of a Zen 4), ms: 0.68; with x and dy read as texels 1.0.
// Dispatch: x = quads / width. Assigns, except that `forward` moves running_mean and running_variance. Pads stay zero.

struct Params {
  pixels: u32,
  quads: u32,
  width: u32,
  eps: f32,
  momentum: f32,
  // variance of a sample / variance of the batch: count / (count - 1)
  unbiased: f32,
  inverseCount: f32,
  partials: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> addend: array<Quad>;
@group(0) @binding(5) var<storage, read_write> y: array<Quad>;
@group(0) @binding(6) var<storage, read_write> mean_out: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> variance_out: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> running_mean: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> running_variance: array<vec4f>;
@group(0) @binding(10) var<storage, read> mean: array<vec4f>;
@group(0) @binding(11) var<storage, read> variance: array<vec4f>;
@group(0) @binding(12) var<storage, read> dy: array<Quad>;
@group(0) @binding(13) var<storage, read_write> dweight_out: array<vec4f>;
@group(0) @binding(14) var<storage, read_write> dbias_out: array<vec4f>;
@group(0) @binding(15) var<storage, read_write> dx: array<Quad>;
@group(0) @binding(16) var<storage, read> moments: array<vec4f>;

#include moments

// eps = 0 leaves the pads, whose variance is 0, finite
fn inverseDeviation(variance: vec4f) -> vec4f {
  return inverseSqrt(max(variance + params.eps, vec4f(1e-37)));
}

@compute @workgroup_size(LANES)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let width = params.width;
  let quad = group.x * width + lane % width;
  let lines = LANES / width;
#if NORMALISE || !MOMENTS
  let step = lines * params.quads;
  let begin = lane / width * params.quads + quad;
  let end = params.pixels * params.quads;
#end
  // A mean far from 0 would be rounded at every merge; its distance from a value of the channel is not.
#if MOMENTS
  let near = moments[quad * 3 + 1];
#else
  let near = vec4f(x[quad]);
#end
  var all = Moments();
#if MOMENTS
  for (var part = lane / width; part < params.partials; part += lines) {
    let at = (part * params.quads + quad) * 3;
    all = merge(all, Moments(moments[at].x, moments[at + 1] - near, moments[at + 2]));
  }
#else
  var i = begin;
  // Eight at a time: their own mean, squared distances from it, and one merge.
  for (; i + 7 * step < end; i += 8 * step) {
#for k in 0..8
    let v${k} = vec4f(x[i + ${k} * step]) - near;
#end
    let m = (((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7))) / 8;
    var squares = vec4f();
#for k in 0..8
    squares += (v${k} - m) * (v${k} - m);
#end
    all = merge(all, Moments(8, m, squares));
  }
  for (; i < end; i += step) {
    all = merge(all, Moments(1, vec4f(x[i]) - near, vec4f()));
  }
#end
  for (var reach = ${LANES / 2}u; reach >= width; reach /= 2u) {
    let count = subgroupShuffleXor(all.count, reach);
    let center = subgroupShuffleXor(all.mean, reach);
    all = merge(all, Moments(count, center, subgroupShuffleXor(all.squares, reach)));
  }
  // Lanes that share a quad merged in different orders; one of them counts.
  let center = subgroupShuffle(all.mean, lane % width) + near;
  let biased = subgroupShuffle(all.squares / all.count, lane % width);
  if (lane < width) {
    mean_out[quad] = center;
    variance_out[quad] = biased;
    let before = running_mean[quad];
    let variation = running_variance[quad];
    running_mean[quad] = before + (center - before) * params.momentum;
    running_variance[quad] = variation + (biased * params.unbiased - variation) * params.momentum;
  }
#if NORMALISE
  let scale = weight[quad] * inverseDeviation(biased);
  let shift = bias[quad];
  for (var i = begin; i < end; i += step) {
    var value = (vec4f(x[i]) - center) * scale + shift;
#include storeNormalised
  }
#end
}

@compute @workgroup_size(LANES)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let width = params.width;
  let quad = group.x * width + lane % width;
  let step = LANES / width * params.quads;
  let begin = lane / width * params.quads + quad;
  let end = params.pixels * params.quads;
  let center = mean[quad];
  let inverse = inverseDeviation(variance[quad]);
  let scale = weight[quad] * inverse;
#if RELU
  let shift = bias[quad];
#end
  var first = vec4f();
  var second = vec4f();
  for (var i = begin; i < end; i += step) {
    let apart = vec4f(x[i]) - center;
#if RELU
    let d = select(vec4f(0), vec4f(dy[i]), apart * scale + shift > vec4f(0));
#else
    let d = vec4f(dy[i]);
#end
    first += d;
    second += d * apart;
  }
  for (var reach = ${LANES / 2}u; reach >= width; reach /= 2u) {
    first += subgroupShuffleXor(first, reach);
    second += subgroupShuffleXor(second, reach);
  }
  if (lane < width) {
    dbias_out[quad] = first;
    dweight_out[quad] = second * inverse;
  }
  let level = first * params.inverseCount;
  let slope = second * inverse * inverse * params.inverseCount;
  for (var i = begin; i < end; i += step) {
    let apart = vec4f(x[i]) - center;
#if RELU
    let d = select(vec4f(0), vec4f(dy[i]), apart * scale + shift > vec4f(0));
#else
    let d = vec4f(dy[i]);
#end
    dx[i] = Quad(scale * (d - level - apart * slope));
  }
}
