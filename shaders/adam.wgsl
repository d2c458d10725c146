// Adam, AdamW and RAdam over `count` vec4f of a chunk of the arenas, in place:
//   GATED: g = g * gate.x, and nothing changes where gate.y is 0
//   CLIP: g = g * min(1, clipNorm / (norm + 1e-6)), written back, as torch.nn.utils.clip_grad_norm_ does
//   g' = g + weightDecay * p
//   m = beta1 * m + (1 - beta1) * g'
//   v = beta2 * v + (1 - beta2) * g' * g'
//   p = p - hyper.x * p - hyper.y * m / (hyper.z * sqrt(v) + hyper.w)
// hyper is made by `adamHyper` (engine/ops/adam.ts), which says what it holds for each optimizer; hyper.w > 0. 1 - beta
// comes from the host, where it is taken in float64. Where variables leave space everything is zero and stays zero.
// Invocation `part` of `parts` takes the vec4f part, part + parts, ...; workgroups of 64 folded over x and y.

struct Params {
  count: u32,
  parts: u32,
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
@group(0) @binding(6) var<storage, read> norm: array<vec4f>;
@group(0) @binding(7) var<storage, read> gate: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let part = id.x + id.y * groups.x * 64;
  if (part >= params.parts) {
    return;
  }
  let h = hyper[0];
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
    let mean = params.beta1 * m[i] + params.restOfBeta1 * g;
    let square = params.beta2 * v[i] + params.restOfBeta2 * g * g;
    m[i] = mean;
    v[i] = square;
    parameter[i] = p - h.x * p - h.y * mean / (h.z * sqrt(square) + h.w);
  }
}
