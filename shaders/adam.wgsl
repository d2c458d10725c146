// Adam, AdamW and RAdam over `count` vec4f of a chunk of the arenas, in place:
//   norm = sqrt(the sum of squares), of all chunks; the dispatch over the first one reports it
//   GATED: g = g * gate.x, norm = norm * gate.x, and nothing changes where gate.y is 0
//   CLIP: g = g * min(1, clipNorm / (norm + 1e-6)), written back, as torch.nn.utils.clip_grad_norm_ does
//   g' = g + weightDecay * p
//   m = beta1 * m + (1 - beta1) * g'
//   v = beta2 * v + (1 - beta2) * g' * g'
//   p = p - hyper.x * p - hyper.y * m / (hyper.z * sqrt(v) + hyper.w)
// hyper is made by `adamHyper` (engine/ops/adam.ts), which says what it holds for each optimizer; hyper.w > 0. 1 - beta
// comes from the host, where it is taken in float64. Where variables leave space everything is zero and stays zero.
// A workgroup takes THREADS * RUN vec4f that lie together, an invocation every THREADS-th of them; workgroups folded over x and y.
// `squares` are gradientSquares' sums.

struct Params {
  count: u32,
  chunk: u32,
  beta1: f32,
  beta2: f32,
  restOfBeta1: f32,
  restOfBeta2: f32,
  weightDecay: f32,
  clipNorm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameter: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(3) var<storage, read> hyper: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(6) var<storage, read> squares: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> norm: array<vec4f>;
@group(0) @binding(8) var<storage, read> gate: array<vec4f>;

#include gradientNorm

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
#include updateStart
  let h = hyper[0];
  for (var i = start; i < end; i += THREADS) {
#include updateGradient
    let mean = params.beta1 * m[i] + params.restOfBeta1 * g;
    let square = params.beta2 * v[i] + params.restOfBeta2 * g * g;
    m[i] = mean;
    v[i] = square;
    parameter[i] = p - h.x * p - h.y * mean / (h.z * sqrt(square) + h.w);
  }
}
