// terms:    sums[first + image][part] = (scale * sum over a part of an image's pixels of the loss, 0, 0, 0), where
//           loss = log(sum_k exp(z_k)) - z_label, and 0 where label < 0
// gradient: dz_k = scale * dLoss * (exp(z_k) / sum_j exp(z_j) - (k == label)), and 0 where label < 0
// z and dz: images of `classes` channels; labels: images of one channel with class numbers; `length` pixels each. A
// range of the batch, beginning with image `first`.
// Workgroup (x, y) takes the pixels x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on,
// which are part x * THREADS + l. Assign; pads zero.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  classes: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<vec4f>;
@group(0) @binding(2) var<storage, read> labels: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dLoss: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dz: array<vec4f>;

const LANES = vec4u(0, 1, 2, 3);

// Exponentials are taken of z - largest, so that they do not overflow.
struct Softmax {
  largest: f32,
  sum: f32,
}

fn softmax(pixel: u32) -> Softmax {
  let quads = (params.classes + 3) / 4;
  var largest = vec4f(z[pixel * quads].x);
  for (var q = 0u; q < quads; q++) {
    let logits = z[pixel * quads + q];
    largest = select(largest, max(largest, logits), LANES + q * 4 < vec4u(params.classes));
  }
  let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
  var sum = vec4f();
  for (var q = 0u; q < quads; q++) {
    sum += select(vec4f(0), exp(z[pixel * quads + q] - top), LANES + q * 4 < vec4u(params.classes));
  }
  return Softmax(top, sum.x + sum.y + sum.z + sum.w);
}

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let quads = (params.classes + 3) / 4;
  let image = group.y;
  var sum = 0.0;
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let pixel = image * params.length + k;
    if (labels[pixel].x < 0) {
      continue;
    }
    let s = softmax(pixel);
    let label = u32(labels[pixel].x);
    var picked = 0.0;
    if (label < params.classes) {
      picked = z[pixel * quads + label / 4][label % 4];
    }
    sum += log(s.sum) + (s.largest - picked);
  }
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = vec4f(params.scale * sum, 0, 0, 0);
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let pixel = group.y * params.length + k;
    let quads = (params.classes + 3) / 4;
    let s = softmax(pixel);
    let label = u32(labels[pixel].x);
    let counts = vec4<bool>(!(labels[pixel].x < 0));
    for (var q = 0u; q < quads; q++) {
      let at = pixel * quads + q;
      let class_of = LANES + q * 4;
      let slope = exp(z[at] - s.largest) / s.sum - select(vec4f(0), vec4f(1), class_of == vec4u(label));
      dz[at] = select(vec4f(0), params.scale * dLoss[0].x * slope, counts & (class_of < vec4u(params.classes)));
    }
  }
}
