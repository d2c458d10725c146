// forward:  y = max(x, 0)
// gradient: dx = dy where y > 0, else 0 (PyTorch: the gradient at 0 is 0)
// Both over `count` quads; assign. Layout does not matter; pads stay zero.
// Quad: four channels as stored, vec4f or vec4h.
// Workgroups of 64, folded over x and y, take 64 * RUN quads that lie together.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
@group(0) @binding(3) var<storage, read> y_saved: array<Quad>;
@group(0) @binding(4) var<storage, read> dy: array<Quad>;
@group(0) @binding(5) var<storage, read_write> dx: array<Quad>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let first = (id.x / 64 + id.y * groups.x) * ${64 * RUN} + id.x % 64;
#for k in 0..RUN
  {
    let i = first + ${64 * k};
    if (i < params.count) {
      y[i] = max(x[i], Quad(0));
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
      dx[i] = select(Quad(0), dy[i], y_saved[i] > Quad(0));
    }
  }
#end
}
