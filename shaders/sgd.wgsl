// SGD as PyTorch has it (dampening 0), over `count` vec4f of a chunk of the arenas, in place:
//   norm = sqrt(the sum of squares), of all chunks; the dispatch over the first one reports it
//   GATED: g = g * gate.x, norm = norm * gate.x, and nothing changes where gate.y is 0
//   CLIP: g = g * min(1, clipNorm / (norm + 1e-6)), written back, as torch.nn.utils.clip_grad_norm_ does
//   g' = g + weightDecay * p
//   MOMENTUM: v = momentum * v + g' (v starts as zeros), step = v, or g' + momentum * v under NESTEROV; otherwise step
//   = g'
//   p = p - hyper.x * step
// hyper.x is the learning rate. Where variables leave space everything is zero and stays zero.
// A workgroup takes THREADS * RUN vec4f that lie together, an invocation every THREADS-th of them; workgroups folded over x and y.
// `squares` are gradientSquares' sums.

struct Params {
  count: u32,
  chunk: u32,
  momentum: f32,
  weightDecay: f32,
  clipNorm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameter: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(3) var<storage, read> hyper: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;
@group(0) @binding(5) var<storage, read> squares: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> norm: array<vec4f>;
@group(0) @binding(7) var<storage, read> gate: array<vec4f>;

#include gradientNorm

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
#include updateStart
  let rate = hyper[0].x;
  for (var i = start; i < end; i += THREADS) {
#include updateGradient
#if MOMENTUM
    let v = params.momentum * velocity[i] + g;
    velocity[i] = v;
#if NESTEROV
    g += params.momentum * v;
#else
    g = v;
#end
#end
    parameter[i] = p - rate * g;
  }
}
