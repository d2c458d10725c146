enable subgroups;
diagnostic(off, subgroup_uniformity);
// channelSumSubgroup: y[i][quad] = sum of x over the pixels i*span .. i*span + span - 1, on CPU adapters (fixed subgroup size LANES). The
// gradient of a bias, in one pass where y has one row, otherwise in two.
//
// x  `pixels` by `quads` Quad (vec4f or vec4h; TEXELS not 0: in a texture, engine/texels.ts);  y  rows of `quads` vec4f. Assigns.
// Lanes: `width` quads side by side x LANES / width lines of pixels; width is a power of two that divides `quads`. Lines are added
//   by shuffles between lanes, in a fixed order.
// Dispatch: workgroups of one subgroup, x rows of y, y = quads / width.

struct Params {
  pixels: u32,
  quads: u32,
  width: u32,
  span: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let quad = group.y * params.width + lane % params.width;
  let lines = LANES / params.width;
  let end = min((group.x + 1) * params.span, params.pixels);
  var pixel = group.x * params.span + lane / params.width;
  var sum = vec4f();
#if TEXELS
  // From buffers nothing is gained so, and each load takes llvmpipe 15 ms to compile.
  for (; pixel + 3 * lines < end; pixel += 4 * lines) {
    let i = pixel * params.quads + quad;
    let step = lines * params.quads;
    sum += (loadX(i) + loadX(i + step)) + (loadX(i + 2 * step) + loadX(i + 3 * step));
  }
#end
  for (; pixel < end; pixel += lines) {
    sum += loadX(pixel * params.quads + quad);
  }
  for (var reach = ${LANES / 2}u; reach >= params.width; reach /= 2u) {
    sum += subgroupShuffleXor(sum, reach);
  }
  if (lane < params.width) {
    y[group.x * params.quads + quad] = sum;
  }
}
