// forward:  y = max(x, 0)
// gradient: dx = dy where y > 0, else 0 (PyTorch: the gradient at 0 is 0); ADD: dy + more instead of dy, added in f32
// Both over `count` quads; assign. Layout does not matter; pads stay zero.
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
@group(0) @binding(6) var<storage, read> more: array<Quad>;

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
#if ADD
    let d = Quad(vec4f(dy[i]) + vec4f(more[i]));
#else
    let d = dy[i];
#end
    dx[i] = select(Quad(0), d, y_saved[i] > Quad(0));
  }
}
