// terms: sums[first + image][part] = (pixels with t >= 0 over a part of an image, 0, 0, 0)
// main:  y = x * pixels / max(labelled[0].x, 1), one number
// Images of one channel, `length` pixels each; a range of `images` of the batch, beginning with image `first`.
// Invocation `part` of `parts` an image takes its pixels part, part + parts, ... Assign; pads zero. terms: workgroups of
// 64 folded over x and y; main: one invocation.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  pixels: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> t: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read> labelled: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn terms(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64;
  if (at >= params.images * params.parts) {
    return;
  }
  let image = at / params.parts;
  var sum = 0.0;
  for (var k = at % params.parts; k < params.length; k += params.parts) {
    sum += select(1.0, 0.0, t[image * params.length + k].x < 0);
  }
  sums[params.first * params.parts + at] = vec4f(sum, 0, 0, 0);
}

@compute @workgroup_size(1)
fn main() {
  y[0] = vec4f(x[0].x * params.pixels / max(labelled[0].x, 1), 0, 0, 0);
}
