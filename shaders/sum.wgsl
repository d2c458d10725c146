// Gradient of a sum over all elements (the sum itself is sumRows.wgsl): dx = scale * dy[0], over `count` vec4f of an
// image or vector with `channels` channels, from an image's first vec4f on. Assigns; pads zero.
// Workgroups of THREADS, folded over x and y, take `span` vec4f that lie together.

struct Params {
  count: u32,
  span: u32,
  channels: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let first = (group.x + group.y * groups.x) * params.span;
  for (var i = first + local; i < min(first + params.span, params.count); i += THREADS) {
    let quads = (params.channels + 3) / 4;
    let is_channel = vec4u(0, 1, 2, 3) + (i % quads) * 4 < vec4u(params.channels);
    dx[i] = select(vec4f(0), vec4f(params.scale * dy[0].x), is_channel);
  }
}
