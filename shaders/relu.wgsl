// forward:  y = max(x, 0)
// gradient: dx = dy where y > 0, else 0 (PyTorch: the gradient at 0 is 0)
// Both over `count` vec4f; assign. Layout does not matter; pads stay zero.
// Workgroups of 64, folded over x and y, take 64 * RUN vec4f that lie together.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read> y_saved: array<vec4f>;
@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let first = (id.x / 64 + id.y * groups.x) * ${64 * RUN} + id.x % 64;
#for k in 0..RUN
  {
    let i = first + ${64 * k};
    if (i < params.count) {
      y[i] = max(x[i], vec4f(0));
    }
  }
#end
}

@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let first = (id.x / 64 + id.y * groups.x) * ${64 * RUN} + id.x % 64;
#for k in 0..RUN
  {
    let i = first + ${64 * k};
    if (i < params.count) {
      dx[i] = select(vec4f(0), dy[i], y_saved[i] > vec4f(0));
    }
  }
#end
}
