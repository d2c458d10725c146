// batchNorm2d: y = (x - mean) / sqrt(variance + eps) * weight + bias for each channel, and its gradients.
//
//   statistics           partials = moments of x over each workgroup's pixels
//   foldMoments          partials = moments merged over each workgroup's share of them
//   finishStatistics     mean_out, variance_out (biased) = all partials merged; moves the running estimates
//   normalise            y from mean and variance, which are the batch's (training) or the running ones (evaluation);
//                        RELU: max(y, 0) is written; ADD: y + addend is, added before the ReLU (1) or behind it (2)
//   gradientSums         partials = sums of dy and of dy * (x - mean) over each workgroup's pixels
//   finishGradientSums   dbias_out = sum(dy), dweight_out = sum(dy * xhat), xhat = (x - mean) / sqrt(variance + eps);
//                        coefficients_out for inputGradient
//   inputGradient        dx = weight / sqrt(variance + eps) * (dy - (dbias + xhat * dweight) * inverseCount);
//                        inverseCount = 1 / (N*H*W) in training, and 0 where mean and variance do not depend on x
//   RELU in the gradients: the dy given is that of max(y, 0); where y, computed again from x, is not above 0, it counts as 0
//
// x, y, dy, dx, addend  images (TEXELS not 0: x and dy in textures, engine/texels.ts): `pixels` (N*H*W of the range) by `quads` Quad (vec4f, or vec4h where images are stored as f16);
//               the others are vectors of `quads` vec4f, and all sums are taken in f32
// coefficients  5 vec4 a quad: mean, scale and bias of y = (x - mean) * scale + bias, dbias, dweight / sqrt(variance + eps)
// moments       of `pixels` parts of x, as a convolution gives them for its tiles: as partials
// partials      moments: 3 vec4 (count in all components, mean, sum of squared distances from it), sums: 2 vec4 (dy, dy * (x - mean));
//               element (partial * quads + quad) * 3 or 2
// Threads       THREADS = `width` quads side by side x THREADS / width lines of pixels; `width` is a power of two up to 16 that
//               divides `quads`, so no lane is idle at any number of channels. Workgroup (i, j) has pixels i*span .. i*span +
//               span - 1 and quads j*width .. j*width + width - 1; in the finish kernels pixels are partials, and i = 0.
//               MERGE: a workgroup makes one partial; otherwise one for each line, and in the finish kernels an invocation has
//               a quad to itself (width = THREADS).
// All assign, except that finishStatistics moves running_mean and running_variance. Pads stay zero. Sums are two-level in a fixed order.

struct Params {
  pixels: u32,
  quads: u32,
  width: u32,
  span: u32,
  // finish kernels: all partials; the others: the first one that this range writes
  partials: u32,
  eps: f32,
  momentum: f32,
  // variance of a sample / variance of the batch: count / (count - 1)
  unbiased: f32,
  inverseCount: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> mean: array<vec4f>;
@group(0) @binding(5) var<storage, read> variance: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<Quad>;
@group(0) @binding(7) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> mean_out: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> variance_out: array<vec4f>;
@group(0) @binding(10) var<storage, read_write> running_mean: array<vec4f>;
@group(0) @binding(11) var<storage, read_write> running_variance: array<vec4f>;
#texels 12 dy Quad
@group(0) @binding(13) var<storage, read> addend: array<Quad>;
@group(0) @binding(14) var<storage, read> coefficients: array<vec4f>;
@group(0) @binding(15) var<storage, read_write> dweight_out: array<vec4f>;
@group(0) @binding(16) var<storage, read_write> dbias_out: array<vec4f>;
@group(0) @binding(17) var<storage, read_write> coefficients_out: array<vec4f>;
@group(0) @binding(18) var<storage, read_write> dx: array<Quad>;
@group(0) @binding(19) var<storage, read> moments: array<vec4f>;

#include moments

#if MERGE
var<workgroup> counts: array<f32, THREADS>;
var<workgroup> firsts: array<vec4f, THREADS>;
var<workgroup> seconds: array<vec4f, THREADS>;

// The first `width` invocations get the moments of all that share their quad.
fn mergeLines(local: u32, mine: Moments) -> Moments {
  var all = mine;
  for (var reach = ${THREADS / 2}u; reach >= params.width; reach /= 2u) {
    if (local < 2 * reach) {
      counts[local] = all.count;
      firsts[local] = all.mean;
      seconds[local] = all.squares;
    }
    workgroupBarrier();
    if (local < reach) {
      all = merge(all, Moments(counts[local + reach], firsts[local + reach], seconds[local + reach]));
    }
  }
  return all;
}
#end

struct Sums {
  first: vec4f,
  second: vec4f,
}

#if MERGE
// The same for sums.
fn addLines(local: u32, mine: Sums) -> Sums {
  var all = mine;
  for (var reach = ${THREADS / 2}u; reach >= params.width; reach /= 2u) {
    if (local < 2 * reach) {
      firsts[local] = all.first;
      seconds[local] = all.second;
    }
    workgroupBarrier();
    if (local < reach) {
      all.first += firsts[local + reach];
      all.second += seconds[local + reach];
    }
  }
  return all;
}
#end

// eps = 0 leaves the pads, whose variance is 0, finite
fn inverseDeviation(quad: u32) -> vec4f {
  return inverseSqrt(max(variance[quad] + params.eps, vec4f(1e-37)));
}

struct Place {
  quad: u32,
  pixel: u32,
  end: u32,
  // pixels between two of one invocation
  lines: u32,
}

fn placeOf(group: vec3u, local: u32) -> Place {
  let start = group.x * params.span;
  return Place(
    group.y * params.width + local % params.width,
    start + local / params.width,
    min(start + params.span, params.pixels),
    THREADS / params.width,
  );
}

// A partial of each invocation, or with MERGE of the workgroup's invocations that share a quad.
fn writeMoments(mine: Moments, place: Place, group: vec3u, local: u32) {
#if MERGE
  let all = mergeLines(local, mine);
  if (local >= params.width) {
    return;
  }
  let partial = params.partials + group.x;
#else
  let all = mine;
  let partial = params.partials + group.x * place.lines + local / params.width;
#end
  let at = (partial * params.quads + place.quad) * 3;
  partials[at] = vec4f(all.count);
  partials[at + 1] = all.mean;
  partials[at + 2] = all.squares;
}

@compute @workgroup_size(THREADS)
fn statistics(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let place = placeOf(group, local);
  let step = place.lines * params.quads;
  var all = Moments();
  var pixel = place.pixel;
  // A mean far from 0 would be rounded at every merge; its distance from a value of the channel is not.
  let near = loadX(min(pixel, params.pixels - 1) * params.quads + place.quad);
  // Eight at a time: their own mean, squared distances from it, and one merge.
  for (; pixel + 7 * place.lines < place.end; pixel += 8 * place.lines) {
    let at = pixel * params.quads + place.quad;
#for i in 0..8
    let v${i} = loadX(at + ${i} * step) - near;
#end
    let m = (((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7))) / 8;
    var squares = vec4f();
#for i in 0..8
    squares += (v${i} - m) * (v${i} - m);
#end
    all = merge(all, Moments(8, m, squares));
  }
  for (; pixel < place.end; pixel += place.lines) {
    all = merge(all, Moments(1, loadX(pixel * params.quads + place.quad) - near, vec4f()));
  }
  all.mean += near;
  writeMoments(all, place, group, local);
}

@compute @workgroup_size(THREADS)
fn foldMoments(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let place = placeOf(group, local);
  let near = moments[place.quad * 3 + 1];
  var all = Moments();
  for (var i = place.pixel; i < place.end; i += place.lines) {
    let at = (i * params.quads + place.quad) * 3;
    all = merge(all, Moments(moments[at].x, moments[at + 1] - near, moments[at + 2]));
  }
  all.mean += near;
  writeMoments(all, place, group, local);
}

@compute @workgroup_size(THREADS)
fn finishStatistics(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let quad = group.y * params.width + local % params.width;
#if !MERGE
  if (quad >= params.quads) {
    return;
  }
#end
  let near = partials[quad * 3 + 1];
  var all = Moments();
  for (var i = local / params.width; i < params.partials; i += THREADS / params.width) {
    let at = (i * params.quads + quad) * 3;
    all = merge(all, Moments(partials[at].x, partials[at + 1] - near, partials[at + 2]));
  }
#if MERGE
  all = mergeLines(local, all);
  if (local >= params.width) {
    return;
  }
#end
  let batchMean = all.mean + near;
  let biased = all.squares / all.count;
  mean_out[quad] = batchMean;
  variance_out[quad] = biased;
  let before = running_mean[quad];
  let variation = running_variance[quad];
  running_mean[quad] = before + (batchMean - before) * params.momentum;
  running_variance[quad] = variation + (biased * params.unbiased - variation) * params.momentum;
}

@compute @workgroup_size(THREADS)
fn normalise(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let place = placeOf(group, local);
  let center = mean[place.quad];
  let scale = weight[place.quad] * inverseDeviation(place.quad);
  let shift = bias[place.quad];
  for (var pixel = place.pixel; pixel < place.end; pixel += place.lines) {
    let i = pixel * params.quads + place.quad;
    var value = (loadX(i) - center) * scale + shift;
#include storeNormalised
  }
}

// dy of element i as it comes through the ReLU of y = apart * scale + shift
fn through(i: u32, apart: vec4f, scale: vec4f, shift: vec4f) -> vec4f {
#if RELU
  return select(vec4f(0), loadDy(i), apart * scale + shift > vec4f(0));
#else
  return loadDy(i);
#end
}

@compute @workgroup_size(THREADS)
fn gradientSums(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let place = placeOf(group, local);
  let center = mean[place.quad];
#if RELU
  let scale = weight[place.quad] * inverseDeviation(place.quad);
  let shift = bias[place.quad];
#else
  let scale = vec4f();
  let shift = vec4f();
#end
  let step = place.lines * params.quads;
  var all = Sums();
  var pixel = place.pixel;
  // Four at a time: from texels 0.28 ms instead of 0.38 for 4x16x128x128 (llvmpipe, 8 lanes, two threads of a 2.6 GHz Zen 4).
  for (; pixel + 3 * place.lines < place.end; pixel += 4 * place.lines) {
    let first = pixel * params.quads + place.quad;
#for k in 0..4
    {
      let i = first + ${k} * step;
      let apart = loadX(i) - center;
      let d = through(i, apart, scale, shift);
      all.first += d;
      all.second += d * apart;
    }
#end
  }
  for (; pixel < place.end; pixel += place.lines) {
    let i = pixel * params.quads + place.quad;
    let apart = loadX(i) - center;
    let d = through(i, apart, scale, shift);
    all.first += d;
    all.second += d * apart;
  }
#if MERGE
  all = addLines(local, all);
  if (local >= params.width) {
    return;
  }
  let partial = params.partials + group.x;
#else
  let partial = params.partials + group.x * place.lines + local / params.width;
#end
  let at = (partial * params.quads + place.quad) * 2;
  partials[at] = all.first;
  partials[at + 1] = all.second;
}

@compute @workgroup_size(THREADS)
fn finishGradientSums(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let quad = group.y * params.width + local % params.width;
#if !MERGE
  if (quad >= params.quads) {
    return;
  }
#end
  var all = Sums();
  for (var i = local / params.width; i < params.partials; i += THREADS / params.width) {
    let at = (i * params.quads + quad) * 2;
    all.first += partials[at];
    all.second += partials[at + 1];
  }
#if MERGE
  all = addLines(local, all);
  if (local >= params.width) {
    return;
  }
#end
  let inverse = inverseDeviation(quad);
  let gradient = all.second * inverse;
  dbias_out[quad] = all.first;
  dweight_out[quad] = gradient;
  coefficients_out[quad * 5] = mean[quad];
  coefficients_out[quad * 5 + 1] = weight[quad] * inverse;
  coefficients_out[quad * 5 + 2] = bias[quad];
  coefficients_out[quad * 5 + 3] = all.first;
  coefficients_out[quad * 5 + 4] = gradient * inverse;
}

@compute @workgroup_size(THREADS)
fn inputGradient(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let place = placeOf(group, local);
  let first = place.quad * 5;
  let center = coefficients[first];
  let scale = coefficients[first + 1];
  let shift = coefficients[first + 2];
  let level = coefficients[first + 3] * params.inverseCount;
  let slope = coefficients[first + 4] * params.inverseCount;
  for (var pixel = place.pixel; pixel < place.end; pixel += place.lines) {
    let i = pixel * params.quads + place.quad;
    let apart = loadX(i) - center;
    let d = through(i, apart, scale, shift);
    dx[i] = Quad(scale * (d - level - apart * slope));
  }
}
