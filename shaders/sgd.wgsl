// SGD as PyTorch has it (dampening 0), over `count` vec4f of a chunk of the arenas, in place:
//   GATED: g = g * gate.x, and nothing changes where gate.y is 0
//   CLIP:     g = g * min(1, clipNorm / (norm + 1e-6)), written back, as torch.nn.utils.clip_grad_norm_ does
//   g' = g + weightDecay * p
//   MOMENTUM: v = momentum * v + g' (v starts as zeros), step = v, or g' + momentum * v under NESTEROV; otherwise step
//   = g'
//   p = p - hyper.x * step
// hyper.x is the learning rate. Where variables leave space everything is zero and stays zero.
// Invocation `part` of `parts` takes the vec4f part, part + parts, ...; workgroups of 64 folded over x and y.

struct Params {
  count: u32,
  parts: u32,
  momentum: f32,
  weightDecay: f32,
  clipNorm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameter: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(3) var<storage, read> hyper: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;
@group(0) @binding(5) var<storage, read> norm: array<vec4f>;
@group(0) @binding(6) var<storage, read> gate: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let part = id.x + id.y * groups.x * 64;
  if (part >= params.parts) {
    return;
  }
  let rate = hyper[0].x;
#if GATED
  if (gate[0].y == 0) {
    return;
  }
#end
#if CLIP
  let clip = min(1.0, params.clipNorm / (norm[0].x + 1e-6));
#end
  for (var i = part; i < params.count; i += params.parts) {
    let p = parameter[i];
    var g = gradient[i];
#if GATED
    g *= gate[0].x;
#end
#if CLIP
    g *= clip;
    gradient[i] = g;
#end
    g += params.weightDecay * p;
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
