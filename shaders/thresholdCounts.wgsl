// sums[first + image][part][pair] = over a part of an image, for the thresholds 2 pair and 2 pair + 1 of COUNT: pixels that
// are foreground in prediction and target, pixels that are foreground in the prediction, and the same of the second.
// Foreground: x > threshold + k * step in the prediction, t > 0.5 in the target; pixels with t < 0 are left out.
// PAIRS = ceil(COUNT / 2); thresholds beyond COUNT count nothing.
// Images of one channel, `length` pixels each; a range of `images` of the batch, beginning with image `first`.
// Invocation `part` of `parts` an image takes its pixels part, part + parts, ... and keeps all counts in registers, since
// a pixel's load is dearer than its comparisons. Assigns. Workgroups of 64 folded over x and y.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  threshold: f32,
  step: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;

fn above(value: f32, k: f32) -> f32 {
  return select(0.0, 1.0, value > params.threshold + k * params.step);
}

@compute @workgroup_size(64)
fn terms(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64;
  if (at >= params.images * params.parts) {
    return;
  }
  let image = at / params.parts;
#for i in 0..PAIRS
  var sum${i} = vec4f();
#end
  for (var k = at % params.parts; k < params.length; k += params.parts) {
    let given = t[image * params.length + k].x;
    if (given < 0) {
      continue;
    }
    let value = x[image * params.length + k].x;
    let truth = select(0.0, 1.0, given > 0.5);
#for i in 0..PAIRS
    let a${i} = above(value, ${2 * i});
#if 2 * i + 1 < COUNT
    let b${i} = above(value, ${2 * i + 1});
#else
    let b${i} = 0.0;
#end
    sum${i} += vec4f(a${i} * truth, a${i}, b${i} * truth, b${i});
#end
  }
  let place = (params.first * params.parts + at) * PAIRS;
#for i in 0..PAIRS
  sums[place + ${i}] = sum${i};
#end
}
