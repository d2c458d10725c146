// Gradient of the mean over height and width (the mean itself is sumRows.wgsl): dx[n, y, x, c] = scale * dy[n, c].
// Images of `length` vec4f, `quads` a pixel; a range of the batch, beginning with image `first`. Assigns; pads zero, as dy's are.
// Workgroup (x, y) takes the vec4f x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  quads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    dx[group.y * params.length + k] = params.scale * dy[(params.first + group.y) * params.quads + k % params.quads];
  }
}
