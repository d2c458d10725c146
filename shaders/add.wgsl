// y = a + b, or with RELU max(a + b, 0), over `count` quads. Assigns. Layout does not matter; pads stay zero.
// Quad: four channels as stored, vec4f or vec4h; the sum is taken in f32.
// Workgroups of THREADS, folded over x and y, take `span` quads that lie together.

struct Params {
  count: u32,
  span: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>;
@group(0) @binding(2) var<storage, read> b: array<Quad>;
@group(0) @binding(3) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
#if RELU
    y[i] = Quad(max(vec4f(a[i]) + vec4f(b[i]), vec4f(0)));
#else
    y[i] = Quad(vec4f(a[i]) + vec4f(b[i]));
#end
  }
}
