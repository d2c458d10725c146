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
// pixel. TEXELS not 0: x and dy in textures (engine/texels.ts)
// Threads: one a vec4 of a row of y (forward) or of x (the others), x along it (column * quads + quad), which walks down `run` rows from
// y * run on; z images. A row of x, interpolated along itself, serves all rows of y until the next; a row of dy, summed along itself,
// serves the two rows of dx around it. Assigns; pads stay zero.
// enlarge, enlargeGradient: the same where neither side of y is shorter, for processors. The former has a thread for all of y
// between two columns of x; the latter has at most READERS columns of y, unrolled, that read one of x (0: there is no such kernel).
// Measured, 4x32x64x64 to 128x128, llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a Zen 4 EPYC, ms: enlarge 1.5 (from buffers 1.6),
//   enlargeGradient 1.7 (1.9), forward 1.8, gradient 2.1 (a thread for each vec4, from buffers: 4.9 and 7.1). Forward with all four loads for
//   each pixel 2.5; an inner loop over the rows of y between two of x 2.3.

struct Params {
  quads: i32,
  run: i32,
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
#texels 1 x Quad
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
#texels 3 dy Quad
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

// What output o reads input i with: 1 less their distance, and all of it where o lies past the last input.
fn weightOf(axis: Axis, i: i32, o: i32) -> f32 {
  let place = clamp(o * axis.step + axis.shift, 0, (axis.input - 1) * axis.unit);
  return max(1 - f32(abs(place - i * axis.unit)) / f32(axis.unit), 0);
}

// First and last output that read inputs i .. j: those placed strictly between i - 1 and j + 1, and for the first input those
// before it as well.
fn readers(axis: Axis, i: i32, j: i32) -> vec2i {
  if (axis.step == 0) {
    return vec2i(0, axis.output - 1);
  }
  let before = (i - 1) * axis.unit - axis.shift;
  let behind = (j + 1) * axis.unit - axis.shift - 1;
  let first = select(divide(max(before, 0), axis.step) + 1, 0, i == 0 || before < 0);
  let last = select(divide(max(behind, 0), axis.step), -1, behind < 0);
  return vec2i(first, min(last, axis.output - 1));
}

// x between two columns of the line that begins at pixel `line`
fn lineBetween(line: i32, column: Between, quad: i32) -> vec4f {
  let quads = params.quads;
  return mix(loadX(u32((line + column.low) * quads + quad)), loadX(u32((line + column.high) * quads + quad)), column.weight);
}

@compute @workgroup_size(THREADS)
fn forward(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.outputWidth * quads) {
    return;
  }
  let ox = divide(at.x, quads);
  let quad = at.x - ox * quads;
  let column = between(axisX(), ox);
  let image = at.z * params.inputHeight;
  var low = -1;
  var high = -1;
  var top = vec4f();
  var bottom = vec4f();
  let end = min((at.y + 1) * params.run, params.outputHeight);
  for (var oy = at.y * params.run; oy < end; oy++) {
    let row = between(axisY(), oy);
    if (row.low != low) {
      if (row.low == high) {
        top = bottom;
      } else {
        top = lineBetween((image + row.low) * params.inputWidth, column, quad);
      }
      if (row.high == row.low) {
        bottom = top;
      } else {
        bottom = lineBetween((image + row.high) * params.inputWidth, column, quad);
      }
      low = row.low;
      high = row.high;
    }
    y[(at.z * params.outputHeight + oy) * params.outputWidth * quads + at.x] = Quad(mix(top, bottom, row.weight));
  }
}

// The first output placed at input i or behind it.
fn firstFrom(axis: Axis, i: i32) -> i32 {
  let distance = i * axis.unit - axis.shift;
  if (i <= 0 || distance <= 0) {
    return 0;
  }
  return select(min(divide(distance + axis.step - 1, max(axis.step, 1)), axis.output), axis.output, axis.step == 0);
}

// What output o takes of input i + 1, if it lies between i and that.
fn shareBehind(axis: Axis, i: i32, o: i32) -> f32 {
  return f32(max(o * axis.step + axis.shift, 0) - i * axis.unit) / f32(axis.unit);
}

@compute @workgroup_size(THREADS)
fn enlarge(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.inputWidth * quads) {
    return;
  }
  let ix = divide(at.x, quads);
  let quad = at.x - ix * quads;
  let next = min(ix + 1, params.inputWidth - 1) * quads + quad;
  let begin = firstFrom(axisX(), ix);
  let end = firstFrom(axisX(), ix + 1);
  let image = at.z * params.inputHeight;
  var iy = at.y * params.run;
  let last = min(iy + params.run, params.inputHeight);
  var line = (image + iy) * params.inputWidth * quads;
  var lowerLeft = loadX(u32(line + at.x));
  var lowerRight = loadX(u32(line + next));
  var oy = firstFrom(axisY(), iy);
  for (; iy < last; iy++) {
    let upperLeft = lowerLeft;
    let upperRight = lowerRight;
    line = (image + min(iy + 1, params.inputHeight - 1)) * params.inputWidth * quads;
    lowerLeft = loadX(u32(line + at.x));
    lowerRight = loadX(u32(line + next));
    let bottom = firstFrom(axisY(), iy + 1);
    for (; oy < bottom; oy++) {
      let down = shareBehind(axisY(), iy, oy);
      let left = mix(upperLeft, lowerLeft, down);
      let right = mix(upperRight, lowerRight, down);
      let to = (at.z * params.outputHeight + oy) * params.outputWidth * quads + quad;
      for (var ox = begin; ox < end; ox++) {
        y[to + ox * quads] = Quad(mix(left, right, shareBehind(axisX(), ix, ox)));
      }
    }
  }
}

@compute @workgroup_size(THREADS)
fn gradient(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.inputWidth * quads) {
    return;
  }
  let ix = divide(at.x, quads);
  let quad = at.x - ix * quads;
  let columns = readers(axisX(), ix, ix);
  var iy = at.y * params.run;
  let end = min(iy + params.run, params.inputHeight);
  let rows = readers(axisY(), iy, end - 1);
  let line = at.z * params.inputHeight;
  // Of rows iy and iy + 1.
  var sum = vec4f();
  var next = vec4f();
  for (var oy = rows.x; oy <= rows.y; oy++) {
    let first = (at.z * params.outputHeight + oy) * params.outputWidth;
    var rowSum = vec4f();
    for (var ox = columns.x; ox <= columns.y; ox++) {
      rowSum += weightOf(axisX(), ix, ox) * loadDy(u32((first + ox) * quads + quad));
    }
    let row = between(axisY(), oy);
    for (; iy < min(row.low, end); iy++) {
      dx[((line + iy) * params.inputWidth) * quads + at.x] = Quad(sum);
      sum = next;
      next = vec4f();
    }
    // The first row read may lie before this run's, and the last one's next row behind it.
    if (row.low == iy) {
      sum += (1 - row.weight) * rowSum;
    }
    if (row.high == iy) {
      sum += row.weight * rowSum;
    } else if (row.high == iy + 1) {
      next += row.weight * rowSum;
    }
  }
  for (; iy < end; iy++) {
    dx[((line + iy) * params.inputWidth) * quads + at.x] = Quad(sum);
    sum = next;
    next = vec4f();
  }
}

#if READERS
@compute @workgroup_size(THREADS)
fn enlargeGradient(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  let quads = params.quads;
  if (at.x >= params.inputWidth * quads) {
    return;
  }
  let ix = divide(at.x, quads);
  let quad = at.x - ix * quads;
  let columns = readers(axisX(), ix, ix);
#for j in 0..READERS
  let ox${j} = min(columns.x + ${j}, params.outputWidth - 1) * quads + quad;
  let weight${j} = select(0, weightOf(axisX(), ix, columns.x + ${j}), columns.x + ${j} <= columns.y);
#end
  var iy = at.y * params.run;
  let last = min(iy + params.run, params.inputHeight);
  let image = at.z * params.outputHeight;
  // Of rows iy and iy + 1, from the outputs placed between them. Those above this run's first row come first.
  var upper = vec4f();
  var lower = vec4f();
  var oy = firstFrom(axisY(), iy - 1);
  for (iy -= 1; iy < last; iy++) {
    let bottom = firstFrom(axisY(), iy + 1);
    for (; oy < bottom; oy++) {
      let line = (image + oy) * params.outputWidth * quads;
      var sum = vec4f();
#for j in 0..READERS
      sum += weight${j} * loadDy(u32(line + ox${j}));
#end
      let down = select(shareBehind(axisY(), iy, oy), 0, iy + 1 == params.inputHeight);
      upper += (1 - down) * sum;
      lower += down * sum;
    }
    if (iy >= at.y * params.run) {
      dx[(at.z * params.inputHeight + iy) * params.inputWidth * quads + at.x] = Quad(upper);
    }
    upper = lower;
    lower = vec4f();
  }
}
#end
