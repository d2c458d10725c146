// sums[first + image][part][pair] = over a part of an image, for the thresholds 2 pair and 2 pair + 1 of COUNT: pixels that
// are foreground in prediction and target, pixels that are foreground in the prediction, and the same of the second.
// Foreground: x > threshold + k * step in the prediction, t > 0.5 in the target; pixels with t < 0 are left out.
// PAIRS = ceil(COUNT / 2); thresholds beyond COUNT count nothing.
// Images of one channel, `length` pixels each; a range of the batch, beginning with image `first`.
// Workgroup (x, y) takes the pixels x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on,
// which are part x * THREADS + l, and keeps all counts in registers, since a pixel's load is
// dearer than its comparisons. Assigns.

struct Params {
  first: u32,
  length: u32,
  span: u32,
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

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
#for i in 0..PAIRS
  var sum${i} = vec4f();
#end
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
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
  let place = (((params.first + image) * groups.x + group.x) * THREADS + local) * PAIRS;
#for i in 0..PAIRS
  sums[place + ${i}] = sum${i};
#end
}
