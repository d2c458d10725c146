// terms: sums[first + image][part] = (pixels with t >= 0 over a part of an image, 0, 0, 0)
// main:  y = x * pixels / max(labelled[0].x, 1), one number
// Images of one channel, `length` pixels each; a range of the batch, beginning with image `first`.
// terms: workgroup (x, y) takes the pixels x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the
// l-th on, which are part x * THREADS + l. main: one invocation. Assign; pads zero.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  pixels: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> t: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read> labelled: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
  var sum = 0.0;
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    sum += select(1.0, 0.0, t[image * params.length + k].x < 0);
  }
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = vec4f(sum, 0, 0, 0);
}

@compute @workgroup_size(1)
fn main() {
  y[0] = vec4f(x[0].x * params.pixels / max(labelled[0].x, 1), 0, 0, 0);
}
