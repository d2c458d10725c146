// dropout2d: y = x * mask * scale, a mask element for each image and channel; the gradient is the same with dy for x.
//
// x, y  images: `count` Quad (vec4f or vec4h), `quadsOfImage` (H*W*quads) of them an image, `quads` a pixel
// mask  image with H = W = 1, 0 or 1: `quads` vec4 an image
// Threads: one a vec4 of y, workgroups of 64 folded over x and y. Assigns; pads stay zero.

struct Params {
  count: u32,
  quadsOfImage: u32,
  quads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> mask: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i < params.count) {
    y[i] = Quad(vec4f(x[i]) * mask[i / params.quadsOfImage * params.quads + i % params.quads] * params.scale);
  }
}
