// Gradient of the mean over height and width (the mean itself is sumRows.wgsl): dx[n, y, x, c] = scale * dy[n, c].
// Images of `length` vec4f, `quads` a pixel; a range of `images` of the batch, beginning with image `first`. Assigns;
// pads zero, as dy's are. One invocation a vec4f (parts = length), workgroups of 64 folded over x and y.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  quads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i < params.images * params.length) {
    dx[i] = params.scale * dy[(params.first + i / params.length) * params.quads + i % params.quads];
  }
}
