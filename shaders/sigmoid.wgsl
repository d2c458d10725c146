// forward:  y = 1 / (1 + exp(-x)), written with exp(-|x|), which cannot overflow
// gradient: dx = dy * y * (1 - y)
// Both over `count` vec4f of an image or vector with `channels` channels, from an image's first vec4f on; assign; pads
// zero. Workgroups of THREADS, folded over x and y, take `span` vec4f that lie together.

struct Params {
  count: u32,
  span: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read> y_saved: array<vec4f>;
@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;

#include isChannel

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    let value = x[i];
    let e = exp(-abs(value));
    y[i] = select(vec4f(0), select(e, vec4f(1), value >= vec4f(0)) / (1 + e), is_channel(i));
  }
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    let s = y_saved[i];
    dx[i] = dy[i] * s * (1 - s);
  }
}
