// Photos packed as one u32 a pixel (bytes R, G, B, M) to network input, with 16 parameters an image; defined by
// applyAugmentation in data/augment.ts. For output pixel (x, y), with integers at pixel centres:
//   source = (a x + b y + c, d x + e y + f); photo bilinear on bytes / 255, or nearest; mask M != 0 at the nearest
//   brightness, contrast, saturation in the order given, each clamp(factor * rgb + (1 - factor) * other, 0, 1), where
//   other is black, the mean grey of the image as it is at that step, the pixel's grey
//   image = (rgb - mean) / std
// grey: sums[first + image][part] = (grey at the contrast step summed over a part of the pixels, 0, 0, 0); zeros where
//   the contrast is 1
// main: image and mask, with meanGrey[image].x
// `images` of the batch beginning with `first`, `length` = height * width pixels each; pixels, mask and image begin
// with image `first`, the others with image 0. Invocation `part` of `parts` an image takes its pixels part,
// part + parts, ... (main: one each). Assign; pads zero. Workgroups of 64 folded over x and y.

struct Params {
  images: u32,
  first: u32,
  length: u32,
  parts: u32,
  height: u32,
  width: u32,
  meanR: f32,
  meanG: f32,
  meanB: f32,
  stdR: f32,
  stdG: f32,
  stdB: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> parameters: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> meanGrey: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> image: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> mask: array<vec4f>;

const BRIGHTNESS = 0u;
const CONTRAST = 1u;

struct Augmentation {
  // source x = dot(row_x, (x, y, 1)), source y likewise
  row_x: vec3f,
  row_y: vec3f,
  // of brightness, contrast, saturation
  factors: vec3f,
  // the three steps by number in the order in which they are applied
  order: vec3u,
  reflect: bool,
  bilinear: bool,
}

fn augmentation_of(image_index: u32) -> Augmentation {
  let p0 = parameters[image_index * 4];
  let p1 = parameters[image_index * 4 + 1];
  let p2 = parameters[image_index * 4 + 2];
  // The order's number counts the six permutations of (0, 1, 2) lexicographically.
  let number = u32(p2.y);
  let first_step = number / 2;
  let lower = select(0u, 1u, first_step == 0);
  let upper = select(2u, 1u, first_step == 2);
  let second = select(lower, upper, number % 2 == 1);
  let order = vec3u(first_step, second, 3 - first_step - second);
  return Augmentation(p0.xyz, vec3f(p0.w, p1.xy), vec3f(p1.zw, p2.x), order, p2.z == 1, p2.w == 1);
}

// Position i of a line of n pixels mirrored on both sides without repeating the edge: 2 1 | 0 1 2 | 1 0.
fn reflect101(i: i32, n: i32) -> i32 {
  if (n == 1) {
    return 0;
  }
  let period = 2 * (n - 1);
  let in_period = (i % period + period) % period;
  return min(in_period, period - in_period);
}

// R, G, B, M / 255 at a whole position of an image of this range; zero outside unless mirrored.
fn fetch(image_index: u32, at: vec2i, reflect: bool) -> vec4f {
  let size = vec2i(i32(params.width), i32(params.height));
  let inside = all(at >= vec2i(0)) && all(at < size);
  if (!inside && !reflect) {
    return vec4f(0);
  }
  var source = at;
  if (!inside) {
    source = vec2i(reflect101(at.x, size.x), reflect101(at.y, size.y));
  }
  return unpack4x8unorm(pixels[image_index * params.length + u32(source.y * size.x + source.x)]);
}

fn source_of(a: Augmentation, pixel: u32) -> vec2f {
  let at = vec3f(f32(pixel % params.width), f32(pixel / params.width), 1);
  return vec2f(dot(a.row_x, at), dot(a.row_y, at));
}

fn photo_pixel(image_index: u32, at: vec2i, a: Augmentation) -> vec3f {
  return fetch(image_index, at, a.reflect).rgb;
}

fn photo_at(a: Augmentation, image_index: u32, source: vec2f) -> vec3f {
  if (!a.bilinear) {
    return photo_pixel(image_index, vec2i(floor(source + 0.5)), a);
  }
  let corner = floor(source);
  let weight = source - corner;
  let at = vec2i(corner);
  let upper = mix(photo_pixel(image_index, at, a), photo_pixel(image_index, at + vec2i(1, 0), a), weight.x);
  let below = at + vec2i(0, 1);
  let lower = mix(photo_pixel(image_index, below, a), photo_pixel(image_index, below + vec2i(1, 0), a), weight.x);
  return mix(upper, lower, weight.y);
}

fn grey_of(rgb: vec3f) -> f32 {
  return dot(rgb, vec3f(0.2989, 0.587, 0.114));
}

fn recolour(rgb: vec3f, step: u32, factors: vec3f, mean_grey: f32) -> vec3f {
  var other = grey_of(rgb);
  if (step == BRIGHTNESS) {
    other = 0;
  } else if (step == CONTRAST) {
    other = mean_grey;
  }
  return clamp(factors[step] * rgb + (1 - factors[step]) * other, vec3f(0), vec3f(1));
}

@compute @workgroup_size(64)
fn grey(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * 64;
  if (at >= params.images * params.parts) {
    return;
  }
  let image_index = at / params.parts;
  let a = augmentation_of(params.first + image_index);
  var sum = 0.0;
  if (a.factors[CONTRAST] != 1) {
    for (var pixel = at % params.parts; pixel < params.length; pixel += params.parts) {
      var rgb = photo_at(a, image_index, source_of(a, pixel));
      for (var k = 0u; k < 3 && a.order[k] != CONTRAST; k++) {
        rgb = recolour(rgb, a.order[k], a.factors, 0);
      }
      sum += grey_of(rgb);
    }
  }
  sums[params.first * params.parts + at] = vec4f(sum, 0, 0, 0);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64;
  if (i >= params.images * params.length) {
    return;
  }
  let image_index = i / params.length;
  let a = augmentation_of(params.first + image_index);
  let source = source_of(a, i % params.length);
  let mean_grey = meanGrey[params.first + image_index].x;
  var rgb = photo_at(a, image_index, source);
  for (var k = 0u; k < 3; k++) {
    rgb = recolour(rgb, a.order[k], a.factors, mean_grey);
  }
  let mean = vec3f(params.meanR, params.meanG, params.meanB);
  let deviation = vec3f(params.stdR, params.stdG, params.stdB);
  image[i] = vec4f((rgb - mean) / deviation, 0);
  let foreground = fetch(image_index, vec2i(floor(source + 0.5)), a.reflect).a > 0;
  mask[i] = vec4f(select(0.0, 1.0, foreground), 0, 0, 0);
}
