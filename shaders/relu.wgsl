// forward:  y = max(x, 0)
// gradient: dx = dy where y > 0, else 0 (PyTorch: the gradient at 0 is 0)
// gradientOfSum: the same with a + b, taken in f32, for dy
// All over `count` quads; assign. Layout does not matter; pads stay zero.
// Quad: four channels as stored, vec4f or vec4h.
// Workgroups of THREADS, folded over x and y, take `span` quads that lie together.

struct Params {
  count: u32,
  span: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
@group(0) @binding(3) var<storage, read> y_saved: array<Quad>;
@group(0) @binding(4) var<storage, read> dy: array<Quad>;
@group(0) @binding(5) var<storage, read_write> dx: array<Quad>;
@group(0) @binding(6) var<storage, read> a: array<Quad>;
@group(0) @binding(7) var<storage, read> b: array<Quad>;

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    y[i] = max(x[i], Quad(0));
  }
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    dx[i] = select(Quad(0), dy[i], y_saved[i] > Quad(0));
  }
}

@compute @workgroup_size(THREADS)
fn gradientOfSum(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    dx[i] = select(Quad(0), Quad(vec4f(a[i]) + vec4f(b[i])), y_saved[i] > Quad(0));
  }
}
