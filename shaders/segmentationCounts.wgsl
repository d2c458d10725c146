// sums[first + image][part] = over a part of an image, the pixels that are foreground in prediction and target, in the
// prediction, in the target, and all pixels. Foreground: x > threshold in the prediction, t > 0.5 in the target;
// pixels with t < 0 are left out.
// Images of one channel, `length` pixels each; a range of `images` of the batch, beginning with image `first`.
// Invocation `part` of `parts` an image takes its pixels part, part + parts, ... Assigns. Workgroups of 64 folded over
// x and y.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  threshold: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(64)
fn terms(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64;
  if (at >= params.images * params.parts) {
    return;
  }
  let image = at / params.parts;
  var sum = vec4f();
  for (var k = at % params.parts; k < params.length; k += params.parts) {
    let i = image * params.length + k;
    if (t[i].x < 0) {
      continue;
    }
    let predicted = select(0.0, 1.0, x[i].x > params.threshold);
    let truth = select(0.0, 1.0, t[i].x > 0.5);
    sum += vec4f(predicted * truth, predicted, truth, 1);
  }
  sums[params.first * params.parts + at] = sum;
}
