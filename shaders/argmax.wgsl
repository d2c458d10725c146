// y[n, y, x] = the first channel that holds the largest of x[n, y, x, 0 .. channels - 1]
// x: images of `channels` channels, y: of one; `length` pixels an image. Assigns; pads zero.
// Workgroup (x, y) takes the pixels x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let pixel = group.y * params.length + k;
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
}
