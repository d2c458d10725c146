// map:   boundaries = (1 where the prediction has a boundary pixel, the same of the target, 0, 0)
// terms: sums[first + image][part] = over a part of an image, boundary pixels of the prediction, those of them with one of
//        the target no further than `reach` away (Euclidean), boundary pixels of the target, those of them with one of the
//        prediction
// Foreground: x > threshold in the prediction, t > 0.5 in the target. A boundary pixel is foreground with background on
// one of its four sides; the outside of the image is not background.
// Images of one vec4f a pixel, `length` = height * width; a range of the batch, beginning with image `first`.
// Workgroup (x, y) takes the pixels x * span .. x * span + span - 1 of image y; invocation l every THREADS-th of them from the l-th on,
// which are part x * THREADS + l of the terms. Assign.

struct Params {
  first: u32,
  length: u32,
  span: u32,
  height: u32,
  width: u32,
  threshold: f32,
  reach: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> t: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> boundaries: array<vec4f>;
@group(0) @binding(4) var<storage, read> edges: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec4f>;

fn foreground(i: u32) -> vec2<bool> {
  return vec2<bool>(x[i].x > params.threshold, t[i].x > 0.5);
}

@compute @workgroup_size(THREADS)
fn map(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let i = group.y * params.length + k;
    let column = i % params.width;
    let row = i % params.length / params.width;
    var surrounded = vec2<bool>(true);
    if (column > 0) {
      surrounded &= foreground(i - 1);
    }
    if (column + 1 < params.width) {
      surrounded &= foreground(i + 1);
    }
    if (row > 0) {
      surrounded &= foreground(i - params.width);
    }
    if (row + 1 < params.height) {
      surrounded &= foreground(i + params.width);
    }
    boundaries[i] = vec4f(select(vec2f(0), vec2f(1), foreground(i) & !surrounded), 0, 0);
  }
}

@compute @workgroup_size(THREADS)
fn terms(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let image = group.y;
  let size = vec2i(i32(params.width), i32(params.height));
  let reach = i32(params.reach);
  var sum = vec4f();
  for (var k = group.x * params.span + local; k < min((group.x + 1) * params.span, params.length); k += THREADS) {
    let here = edges[image * params.length + k].xy;
    if (here.x + here.y == 0) {
      continue;
    }
    let place = vec2i(i32(k % params.width), i32(k / params.width));
    let low = max(place - reach, vec2i(0));
    let high = min(place + reach, size - 1);
    var near = vec2f(0);
    for (var row = low.y; row <= high.y; row++) {
      for (var column = low.x; column <= high.x; column++) {
        let away = vec2i(column, row) - place;
        if (away.x * away.x + away.y * away.y <= reach * reach) {
          near = max(near, edges[image * params.length + u32(row * size.x + column)].xy);
        }
      }
    }
    sum += vec4f(here.x, here.x * near.y, here.y, here.y * near.x);
  }
  sums[((params.first + image) * groups.x + group.x) * THREADS + local] = sum;
}
