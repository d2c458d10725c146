// y = a + b, or with RELU max(a + b, 0), over `count` quads. Assigns. Layout does not matter; pads stay zero.
// Quad: four channels as stored, vec4f or vec4h; the sum is taken in f32.
// Workgroups of 64, folded over x and y, take 64 * RUN quads that lie together.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>;
@group(0) @binding(2) var<storage, read> b: array<Quad>;
@group(0) @binding(3) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let first = (id.x / 64 + id.y * groups.x) * ${64 * RUN} + id.x % 64;
#for k in 0..RUN
  {
    let i = first + ${64 * k};
    if (i < params.count) {
#if RELU
      y[i] = Quad(max(vec4f(a[i]) + vec4f(b[i]), vec4f(0)));
#else
      y[i] = Quad(vec4f(a[i]) + vec4f(b[i]));
#end
    }
  }
#end
}
