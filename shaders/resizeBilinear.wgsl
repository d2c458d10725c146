// resizeBilinear: bilinear interpolation between the four pixels around each output pixel's place in x, and its gradient.
//
//   forward   y[oy, ox] = sum of x over rows and columns with the weights below
//   gradient  dx[iy, ix] = sum of dy * weights over the output pixels that read this one, in row-major order
//
// Along an axis output o lies at max(o*step + shift, 0) / unit in x, a fraction of integers: exact, so that forward and gradient
// agree on every neighbour (all products stay below 2^31; the host checks). It reads floor of that and the next,
// unless that is past the end, with weights 1 - remainder and remainder.
//
// x, dx  images of inputHeight by inputWidth;  y, dy  images of outputHeight by outputWidth; `quads` Quad (vec4f or vec4h) a
// pixel
// Threads: one a vec4 of y (forward) or dx (gradient): x along the row (column * quads + quad), y rows, z images. Assigns; pads
// stay zero.

struct Params {
  quads: i32,
  inputHeight: i32,
  inputWidth: i32,
  outputHeight: i32,
  outputWidth: i32,
  stepY: i32,
  shiftY: i32,
  unitY: i32,
  stepX: i32,
  shiftX: i32,
  unitX: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
@group(0) @binding(3) var<storage, read> dy: array<Quad>;
@group(0) @binding(4) var<storage, read_write> dx: array<Quad>;

struct Axis {
  input: i32,
  output: i32,
  step: i32,
  shift: i32,
  unit: i32,
}

fn axisY() -> Axis {
  return Axis(params.inputHeight, params.outputHeight, params.stepY, params.shiftY, params.unitY);
}

fn axisX() -> Axis {
  return Axis(params.inputWidth, params.outputWidth, params.stepX, params.shiftX, params.unitX);
}

// a / b for 0 <= a < 2^31 where that is below 2^20: in float32, which a processor divides faster than integers, then mended.
fn divide(a: i32, b: i32) -> i32 {
  let near = i32(f32(a) / f32(b));
  let rest = a - near * b;
  return near + select(0, 1, rest >= b) - select(0, 1, rest < 0);
}

struct Between {
  low: i32,
  high: i32,
  // of `high`; `low` has the rest
  weight: f32,
}

fn between(axis: Axis, o: i32) -> Between {
  let place = max(o * axis.step + axis.shift, 0);
  let low = divide(place, axis.unit);
  return Between(low, min(low + 1, axis.input - 1), f32(place - low * axis.unit) / f32(axis.unit));
}

fn weightOf(i: i32, at: Between) -> f32 {
  return select(0.0, 1 - at.weight, i == at.low) + select(0.0, at.weight, i == at.high);
}

// First and last output that may read input i: those placed strictly between i - 1 and i + 1, and for the first input
// those before it as well.
fn readers(axis: Axis, i: i32) -> vec2i {
  if (axis.step == 0) {
    return vec2i(0, axis.output - 1);
  }
  let first = divide(max((i - 1) * axis.unit - axis.shift, 0), axis.step);
  let last = divide(max((i + 1) * axis.unit - axis.shift, 0), axis.step);
  return vec2i(select(first, 0, i == 0), min(last, axis.output - 1));
}

// x between two columns of the line that begins at pixel `line`
fn lineBetween(line: i32, column: Between, quad: i32) -> vec4f {
  let quads = params.quads;
  return mix(vec4f(x[(line + column.low) * quads + quad]), vec4f(x[(line + column.high) * quads + quad]), column.weight);
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.outputWidth * quads) {
    return;
  }
  let ox = divide(at.x, quads);
  let quad = at.x - ox * quads;
  let column = between(axisX(), ox);
  let row = between(axisY(), at.y);
  let low = (at.z * params.inputHeight + row.low) * params.inputWidth;
  let high = (at.z * params.inputHeight + row.high) * params.inputWidth;
  let top = lineBetween(low, column, quad);
  let bottom = lineBetween(high, column, quad);
  y[(at.z * params.outputHeight + at.y) * params.outputWidth * quads + at.x] = Quad(mix(top, bottom, row.weight));
}

@compute @workgroup_size(64)
fn gradient(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.inputWidth * quads) {
    return;
  }
  let ix = divide(at.x, quads);
  let quad = at.x - ix * quads;
  let rows = readers(axisY(), at.y);
  let columns = readers(axisX(), ix);
  var sum = vec4f();
  for (var oy = rows.x; oy <= rows.y; oy++) {
    let rowWeight = weightOf(at.y, between(axisY(), oy));
    if (rowWeight == 0) {
      continue;
    }
    let line = (at.z * params.outputHeight + oy) * params.outputWidth;
    var rowSum = vec4f();
    for (var ox = columns.x; ox <= columns.y; ox++) {
      let weight = weightOf(ix, between(axisX(), ox));
      if (weight != 0) {
        rowSum += weight * vec4f(dy[(line + ox) * quads + quad]);
      }
    }
    sum += rowWeight * rowSum;
  }
  dx[(at.z * params.inputHeight + at.y) * params.inputWidth * quads + at.x] = Quad(sum);
}
