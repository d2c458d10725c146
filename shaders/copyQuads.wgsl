// copyQuads: y[pixel, firstQuad + q] = x[pixel, fromQuad + q] for q in [0, quads): copyChannels where channels begin at a quad.
//
// x  image of `inputQuads` Quad (vec4f or vec4h) a pixel;  y  image of `outputQuads` Quad a pixel; its other quads stay as they are
// Threads: 64 along the row (column * quads + q), each for RUN rows, so that it finds its place once for all of them; y: runs of
// rows, images following one another.
// Measured, 4x16x128x128 beside as many, llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon, GB/s:
//   6.0 with RUN 8, 5.6 with 4, 3.3 with 1 (copyChannels 3.2).

struct Params {
  rows: u32,
  width: u32,
  quads: u32,
  inputQuads: u32,
  fromQuad: u32,
  outputQuads: u32,
  firstQuad: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width * params.quads) {
    return;
  }
  let column = id.x / params.quads;
  let quad = id.x - column * params.quads;
  let first = id.y * ${RUN}u;
  let to = (first * params.width + column) * params.outputQuads + params.firstQuad + quad;
  let at = (first * params.width + column) * params.inputQuads + params.fromQuad + quad;
#for k in 0..RUN
  if (first + ${k}u < params.rows) {
    y[to + ${k}u * params.width * params.outputQuads] = x[at + ${k}u * params.width * params.inputQuads];
  }
#end
}
