// dropoutMask: mask[n, c] = 1 where hashKeys(seed[0], seed[1], ..., stream, n, c) >= threshold, else 0; hashKeys is the one
// of engine/random.ts, bit for bit.
//
// seed  `seeds` words;  mask  image [N, C, 1, 1]: `quads` vec4 an image, `count` of them from image `firstImage` on
// Threads: one a vec4 of the mask, workgroups of 64 folded over x and y. Assigns; pads are zero.

struct Params {
  count: u32,
  quads: u32,
  channels: u32,
  firstImage: u32,
  stream: u32,
  seeds: u32,
  threshold: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> seed: array<u32>;
@group(0) @binding(2) var<storage, read_write> mask: array<vec4f>;

fn hash32(word: u32) -> u32 {
  var n = word;
  n ^= n >> 16;
  n *= 0x7feb352d;
  n ^= n >> 15;
  n *= 0x846ca68b;
  n ^= n >> 16;
  return n;
}

fn fold(h: u32, key: u32) -> u32 {
  return hash32(h ^ hash32(key)) + 0x9e3779b9;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.count) {
    return;
  }
  var h = 0x9e3779b9u;
  for (var k = 0u; k < params.seeds; k++) {
    h = fold(h, seed[k]);
  }
  h = fold(fold(h, params.stream), params.firstImage + i / params.quads);
  var value = vec4f();
  for (var j = 0u; j < 4; j++) {
    let channel = i % params.quads * 4 + j;
    if (channel < params.channels && hash32(fold(h, channel)) >= params.threshold) {
      value[j] = 1;
    }
  }
  mask[i] = value;
}
