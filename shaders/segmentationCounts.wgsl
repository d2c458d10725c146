// sums[first + image][part] = over a part of an image, the pixels that are foreground in prediction and target, in the
// prediction, in the target, and all pixels. Foreground: x > threshold in the prediction, t > 0.5 in the target;
// pixels with t < 0 are left out.
// Images of one channel, `length` pixels each; a range of the batch, beginning with image `first`.
// Workgroup (x, y) takes the pixels x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on,
// which are part x * THREADS + l. Assigns.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  threshold: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
  var sum = vec4f();
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = image * params.length + k;
    if (t[i].x < 0) {
      continue;
    }
    let predicted = select(0.0, 1.0, x[i].x > params.threshold);
    let truth = select(0.0, 1.0, t[i].x > 0.5);
    sum += vec4f(predicted * truth, predicted, truth, 1);
  }
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = sum;
}
