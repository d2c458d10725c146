// copyChannels: y[pixel, c] = x[pixel, c - offset] for the channels c in [first, end); others are zero, or, with keep = 1, those
// below `first` stay. Concatenation writes one input after the other in this way; slices and their gradients are one call.
//
// Quad: four channels as stored, vec4f or vec4h.
//
// x  image of `inputQuads` Quad a pixel (4*inputQuads > end - 1 - offset, first - offset >= 0)
// y  image of `outputQuads` Quad a pixel; the quads [firstQuad, firstQuad + quads) of each pixel are assigned
// Threads: one a vec4 of y to assign, going on along the row: x along the row (column * quads + quad), y rows, z images.

struct Params {
  height: i32,
  width: i32,
  inputQuads: i32,
  outputQuads: i32,
  firstQuad: i32,
  quads: i32,
  offset: i32,
  first: i32,
  end: i32,
  keep: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;

#include divide

fn copyQuad(row: vec2i, i: i32) {
  let column = divide(i, params.quads);
  let pixel = (row.y * params.height + row.x) * params.width + column;
  let quad = params.firstQuad + i - column * params.quads;
  let at = pixel * params.outputQuads + quad;
  let channel = quad * 4;

  // The four channels lie in one quad of x, or in two neighbouring ones, of which the first begins `shift` channels earlier.
  let source = channel - params.offset;
  let shift = u32(source & 3);
  let low = source >> 2;
  let start = pixel * params.inputQuads;
  var value = Quad();
  if (low >= 0 && low < params.inputQuads) {
    value = x[start + low];
  }
  if (shift != 0) {
    var next = Quad();
    if (low + 1 >= 0 && low + 1 < params.inputQuads) {
      next = x[start + low + 1];
    }
    switch shift {
      case 1: { value = Quad(value.yzw, next.x); }
      case 2: { value = Quad(value.zw, next.xy); }
      default: { value = Quad(value.w, next.xyz); }
    }
  }

  let channels = channel + vec4i(0, 1, 2, 3);
  var rest = Quad();
  if (params.keep != 0 && channel < params.first) {
    rest = select(rest, y[at], channels < vec4i(params.first));
  }
  y[at] = select(rest, value, (channels >= vec4i(params.first)) & (channels < vec4i(params.end)));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = i32(id.x); i < params.width * params.quads; i += i32(groups.x) * THREADS) {
    copyQuad(vec2i(id.yz), i);
  }
}
