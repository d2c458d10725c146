// y[n, y, x] = the first channel that holds the largest of x[n, y, x, 0 .. channels - 1]
// x: images of `channels` channels, y: of one; `length` pixels an image, `images` of them. Assigns; pads zero.
// One invocation a pixel (parts = length), workgroups of 64 folded over x and y.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let pixel = id.x + id.y * groups.x * 64;
  if (pixel >= params.images * params.length) {
    return;
  }
  let quads = (params.channels + 3) / 4;
  var largest = x[pixel * quads].x;
  var best = 0u;
  for (var q = 0u; q < quads; q++) {
    let values = x[pixel * quads + q];
#for j in 0..4
    if (q * 4 + ${j} < params.channels && values[${j}] > largest) {
      largest = values[${j}];
      best = q * 4 + ${j};
    }
#end
  }
  y[pixel] = vec4f(f32(best), 0, 0, 0);
}
