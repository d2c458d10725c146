// Photos packed as one u32 a pixel (bytes R, G, B, M) to network input, each by its own parameters, which
// engine/augmentation.ts lays out; defined by applyAugmentation in data/augmentReference.ts. For output pixel p:
//   u = A (p + elastic displacement(p)), mirrored into the frame or faded to black within one pixel outside of it
//   t = box corner + (u + 1/2) * box scale; photo bilinear at t - 1/2 within the box on bytes / 255, mask at floor(t)
//   rgb through the steps of the program, image = (rgb - mean) / std, mask = 1 where M is foreground,
//   -1 where M is ignored
// equalise: levels[first + image][tile][level], the equalised value of each level, as of the program's CLAHE step; one
//   workgroup a tile (x) and image (y). Images without such a step get any values.
// mean: sums[first + image][part] = (the mean's summand at the step of `slot` over a part of the pixels, 0, 0, 0);
//   zeros where no step has this slot. Invocation `part` of `parts` an image takes pixels part, part + parts, ...
// main: image and mask, with means[slot][image].x and tables = levels.
// `count` of the `images` of the batch beginning with `first`; pixels, mask and image begin with image `first`, the
// others with image 0. Assign; pads zero. mean: workgroups of THREADS folded over x and y. main: THREADS along a row, from which an
// invocation goes on by as many as there are in the dispatch; y rows, z images.
// Measured, 4x128x128, no colour steps (llvmpipe, Mesa 25.0.7, 8 lanes, two threads of a 2.6 GHz Zen 4), ms: main 0.76; 1.15 with the
// image's parameters loaded, and the place divided out of a flat index, for each pixel.
// Constants: numbers of the colour steps; FLOATS, ELASTIC, PROGRAM (vec4f of an image's parameters, and where these
// begin), STEPS (of a program), MEANS (there are slots), TILES_X and TILES_Y (0: no CLAHE).

struct Params {
  images: u32,
  first: u32,
  count: u32,
  height: u32,
  width: u32,
  parts: u32,
  slot: u32,
  foreground: u32,
  ignored: u32,
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
@group(0) @binding(3) var<storage, read_write> levels: array<u32>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(6) var<storage, read> means: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> image: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> mask: array<vec4f>;

// ---- Geometry

// Weights of three nodes at 0, 1, 2 for a place t between them: Keys' cubic with a = -1/2, the outer nodes repeated.
fn node_weights(t: f32) -> vec3f {
  let second = t >= 1;
  let f = select(t, t - 1, second);
  let before = ((1 - 0.5 * f) * f - 0.5) * f;
  let left = (1.5 * f - 2.5) * f * f + 1;
  let right = ((2 - 1.5 * f) * f + 0.5) * f;
  let after = (0.5 * f - 0.5) * f * f;
  return select(vec3f(before + left, right, after), vec3f(before, left, right + after), second);
}

// What an image's parameters say of its geometry.
struct Geometry {
  // rows of the matrix, whether the frame is mirrored, whether there is a displacement
  p0: vec4f,
  p1: vec4f,
  box: vec4f,
  scale: vec2f,
  // Displacements at the nodes, two in a vec4f
#for j in 0..5
  nodes${j}: vec4f,
#end
}

// `index` counts the images of the batch.
fn geometry_of(index: u32) -> Geometry {
  let first = index * FLOATS;
  var geometry: Geometry;
  geometry.p0 = parameters[first];
  geometry.p1 = parameters[first + 1];
  geometry.box = parameters[first + 2];
  geometry.scale = parameters[first + 3].xy;
  if (geometry.p1.w == 1) {
#for j in 0..5
    geometry.nodes${j} = parameters[first + ELASTIC + ${j}];
#end
  }
  return geometry;
}

fn displacement(geometry: Geometry, at: vec2f, size: vec2f) -> vec2f {
  let t = 2 * at / max(size - 1, vec2f(1));
  let x = node_weights(t.x);
  let y = node_weights(t.y);
  var sum = vec2f();
#for j in 0..9
  sum += x[${j % 3}] * y[${j / 3}] * vec2f(geometry.nodes${j / 2}[${j % 2 * 2}], geometry.nodes${j / 2}[${j % 2 * 2 + 1}]);
#end
  return sum;
}

// A position on a line of pixels 0 .. last mirrored on both sides without repeating the edge: 2 1 | 0 1 2 | 1 0.
fn mirror(u: vec2f, last: vec2f) -> vec2f {
  let period = 2 * max(last, vec2f(1));
  let in_period = u - floor(u / period) * period;
  return min(min(in_period, period - in_period), last);
}

struct Source {
  // The photo's position, in whole numbers at pixel centres, and the box it may be taken from
  at: vec2f,
  low: vec2f,
  high: vec2f,
  // How much of the photo there is
  coverage: f32,
  nearest: vec2f,
  inside: bool,
}

// Of the output pixel at a place.
fn source_of(geometry: Geometry, place: vec2f) -> Source {
  let size = vec2f(f32(params.width), f32(params.height));
  let p0 = geometry.p0;
  let p1 = geometry.p1;
  let box = geometry.box;
  var at = place;
  if (p1.w == 1) {
    at += displacement(geometry, at, size);
  }
  var u = vec2f(dot(p0.xyz, vec3f(at, 1)), dot(vec3f(p0.w, p1.xy), vec3f(at, 1)));
  var source: Source;
  source.coverage = 1;
  source.inside = true;
  if (p1.z == 1) {
    u = mirror(u, size - 1);
  } else {
    let share = max(1 - max(max(-u, u - (size - 1)), vec2f(0)), vec2f(0));
    source.coverage = share.x * share.y;
    source.inside = all(u >= vec2f(-0.5)) && all(u < size - 0.5);
  }
  source.low = box.xy;
  source.high = min(box.zw, size) - 1;
  let t = box.xy + (u + 0.5) * geometry.scale;
  source.at = clamp(t - 0.5, source.low, source.high);
  // A position that is a whole number may come out a rounding below it.
  source.nearest = clamp(floor(t + 1e-4), source.low, source.high);
  return source;
}

fn fetch(own: u32, at: vec2f) -> u32 {
  return pixels[own * params.height * params.width + u32(at.y) * params.width + u32(at.x)];
}

// `own` counts the images of this range.
fn photo_at(own: u32, source: Source) -> vec3f {
  let corner = floor(source.at);
  let weight = source.at - corner;
  let next = min(corner + 1, source.high);
  let upper_left = unpack4x8unorm(fetch(own, corner)).rgb;
  let upper_right = unpack4x8unorm(fetch(own, vec2f(next.x, corner.y))).rgb;
  let lower_left = unpack4x8unorm(fetch(own, vec2f(corner.x, next.y))).rgb;
  let lower_right = unpack4x8unorm(fetch(own, next)).rgb;
  let upper = mix(upper_left, upper_right, weight.x);
  let lower = mix(lower_left, lower_right, weight.x);
  return source.coverage * mix(upper, lower, weight.y);
}

// ---- Colour

fn grey_of(rgb: vec3f) -> f32 {
  return dot(rgb, vec3f(0.2989, 0.587, 0.114));
}

fn clamp01(rgb: vec3f) -> vec3f {
  return clamp(rgb, vec3f(0), vec3f(1));
}

// x^g for x from 0 on; pow is not defined at 0 on every device.
fn power(x: vec3f, g: f32) -> vec3f {
  return select(pow(x, vec3f(g)), vec3f(0), x <= vec3f(0));
}

// The hue of HSV moved by `shift` turns.
fn shift_hue(rgb: vec3f, shift: f32) -> vec3f {
  let value = max(rgb.r, max(rgb.g, rgb.b));
  let chroma = value - min(rgb.r, min(rgb.g, rgb.b));
  if (chroma == 0) {
    return rgb;
  }
  // In sixths of a turn from red.
  var hue = (rgb.g - rgb.b) / chroma;
  if (value != rgb.r) {
    hue = select(4 + (rgb.r - rgb.g) / chroma, 2 + (rgb.b - rgb.r) / chroma, value == rgb.g);
  }
  let turned = hue + 6 * shift + vec3f(5, 3, 1);
  let k = turned - 6 * floor(turned / 6);
  return value - chroma * clamp(min(k, 4 - k), vec3f(0), vec3f(1));
}

#if TILES_X
// sRGB of 0 .. 1 to CIE Lab (D65), and back; formulas and constants of OpenCV's conversion.
fn lab_of(rgb: vec3f) -> vec3f {
  let linear = select(rgb / 12.92, power((rgb + 0.055) / 1.055, 2.4), rgb > vec3f(0.04045));
  let x = dot(linear, vec3f(0.412453, 0.357580, 0.180423)) / 0.950456;
  let y = dot(linear, vec3f(0.212671, 0.715160, 0.072169));
  let z = dot(linear, vec3f(0.019334, 0.119193, 0.950227)) / 1.088754;
  let xyz = vec3f(x, y, z);
  let f = select(7.787 * xyz + 16.0 / 116, power(xyz, 1.0 / 3), xyz > vec3f(0.008856));
  let lightness = select(903.3 * y, 116 * f.y - 16, y > 0.008856);
  return vec3f(lightness, 500 * (f.x - f.y), 200 * (f.y - f.z));
}

fn rgb_of(lab: vec3f) -> vec3f {
  let dark = lab.x <= 8;
  let fy = select((lab.x + 16) / 116, 7.787 * (lab.x / 903.3) + 16.0 / 116, dark);
  let f = vec3f(fy + lab.y / 500, fy, fy - lab.z / 200);
  let xyz = select((f - 16.0 / 116) / 7.787, f * f * f, f > vec3f(7.787 * 0.008856 + 16.0 / 116));
  let scaled = xyz * vec3f(0.950456, 1, 1.088754);
  let linear = clamp01(vec3f(
    dot(scaled, vec3f(3.240479, -1.53715, -0.498535)),
    dot(scaled, vec3f(-0.969256, 1.875991, 0.041556)),
    dot(scaled, vec3f(0.055648, -0.204043, 1.057311)),
  ));
  return clamp01(select(12.92 * linear, 1.055 * power(linear, 1 / 2.4) - 0.055, linear > vec3f(0.0031308)));
}

// What is equalised, as the first of three: the lightness of Lab and its other two, or the grey value.
fn plane_of(rgb: vec3f, step: vec4f) -> vec3f {
  if (step.z == GREY_PLANE) {
    return rgb;
  }
  return lab_of(rgb) / vec3f(100, 1, 1);
}

fn level_of(plane: vec3f) -> u32 {
  return u32(round(clamp(plane.x, 0, 1) * 255));
}

// Width and height of a tile; sizes that the tiles do not divide are continued by mirroring, both of them.
fn tile_size() -> vec2u {
  let size = vec2u(params.width, params.height);
  let tiles = vec2u(TILES_X, TILES_Y);
  return select((size + tiles - size % tiles) / tiles, size / tiles, all(size % tiles == vec2u(0)));
}

// The program's CLAHE step, or STEPS.
fn equalising_step(index: u32) -> u32 {
  var k = 0u;
  while (k < STEPS && parameters[index * FLOATS + PROGRAM + k].x != CLAHE) {
    k++;
  }
  return k;
}
#end

fn mean_of(slot: f32, index: u32) -> f32 {
#if MEANS
  return means[u32(slot) * params.images + index].x;
#else
  return 0;
#end
}

// Every step but the equalisation, which needs the tables.
fn recolour(rgb: vec3f, step: vec4f, index: u32) -> vec3f {
  switch u32(step.x) {
    case BRIGHTNESS: {
      return clamp01(step.y * rgb);
    }
    case CONTRAST: {
      return clamp01(step.y * rgb + (1 - step.y) * mean_of(step.z, index));
    }
    case SATURATION: {
      return clamp01(step.y * rgb + (1 - step.y) * grey_of(rgb));
    }
    case HUE: {
      return shift_hue(rgb, step.y);
    }
    case GAMMA: {
      return power(rgb, step.y);
    }
    case CHANNEL_SHUFFLE: {
      return vec3f(rgb[u32(step.y)], rgb[u32(step.z)], rgb[u32(step.w)]);
    }
    case BRIGHTNESS_CONTRAST: {
      var offset = step.z;
      if (step.w >= 0) {
        offset *= mean_of(step.w, index);
      }
      return clamp01(step.y * rgb + offset);
    }
    case TONE_CURVE: {
      let rest = 1 - rgb;
      return ((3 * rest * step.y + 3 * rgb * step.z) * rest + rgb * rgb) * rgb;
    }
    default: {
      return rgb;
    }
  }
}

#if TILES_X
// Bilinear between the tables of the four nearest tiles, rounded to a level.
fn equalised(rgb: vec3f, step: vec4f, index: u32, place: vec2f) -> vec3f {
  let tiles = vec2f(TILES_X, TILES_Y);
  let at = place / vec2f(tile_size()) - 0.5;
  let low = max(floor(at), vec2f(0));
  let high = min(floor(at) + 1, tiles - 1);
  let weight = at - floor(at);
  let plane = plane_of(rgb, step);
  let level = level_of(plane);
  let upper = mix(table_at(index, vec2f(low.x, low.y), level), table_at(index, vec2f(high.x, low.y), level), weight.x);
  let lower = mix(table_at(index, vec2f(low.x, high.y), level), table_at(index, vec2f(high.x, high.y), level), weight.x);
  let value = round(mix(upper, lower, weight.y)) / 255;
  if (step.z == GREY_PLANE) {
    return vec3f(value);
  }
  return rgb_of(vec3f(100 * value, plane.yz));
}

fn table_at(index: u32, tile: vec2f, level: u32) -> f32 {
  let tile_index = (index * TILES_Y + u32(tile.y)) * TILES_X + u32(tile.x);
  return f32(tables[tile_index * 256 + level]);
}
#end

// rgb after the program's steps before number `until`.
fn coloured(rgb: vec3f, index: u32, place: vec2f, until: u32) -> vec3f {
  var result = rgb;
  for (var k = 0u; k < until; k++) {
    let step = parameters[index * FLOATS + PROGRAM + k];
    if (step.x == END) {
      break;
    }
#if TILES_X
    if (step.x == CLAHE) {
      result = equalised(result, step, index, place);
      continue;
    }
#end
    result = recolour(result, step, index);
  }
  return result;
}

#if TILES_X
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> excess: atomic<u32>;

@compute @workgroup_size(256)
fn equalise(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) level: u32) {
  let own = group.y;
  let index = params.first + own;
  let at = equalising_step(index);
  let step = parameters[index * FLOATS + PROGRAM + min(at, STEPS - 1)];
  let tile = tile_size();
  let area = tile.x * tile.y;
  let origin = vec2u(group.x % TILES_X, group.x / TILES_X) * tile;
  let geometry = geometry_of(index);

  // Workgroup memory begins with zeros.
  for (var i = select(area, level, at < STEPS); i < area; i += 256) {
    let last = vec2f(f32(params.width - 1), f32(params.height - 1));
    let position = mirror(vec2f(origin + vec2u(i % tile.x, i / tile.x)), last);
    var rgb = photo_at(own, source_of(geometry, position));
    for (var k = 0u; k < at; k++) {
      rgb = recolour(rgb, parameters[index * FLOATS + PROGRAM + k], index);
    }
    atomicAdd(&histogram[level_of(plane_of(rgb, step))], 1);
  }
  workgroupBarrier();

  // What a level has above the limit is spread: evenly, and the remainder one each at equal distances.
  let limit = max(u32(step.y * f32(area) / 256), 1);
  let found = atomicLoad(&histogram[level]);
  atomicAdd(&excess, found - min(found, limit));
  workgroupBarrier();
  let spread = atomicLoad(&excess);
  let remainder = spread % 256;
  let distance = max(256 / max(remainder, 1), 1);
  let extra = select(0u, 1u, level % distance == 0 && level / distance < remainder);
  atomicStore(&histogram[level], min(found, limit) + spread / 256 + extra);
  workgroupBarrier();

  // 256 additions by one invocation are less work than a parallel prefix sum's barriers on a software adapter.
  if (level == 0) {
    var below = 0u;
    for (var i = 0u; i < 256; i++) {
      below += atomicLoad(&histogram[i]);
      atomicStore(&histogram[i], below);
    }
  }
  workgroupBarrier();
  let share = f32(atomicLoad(&histogram[level])) * (255 / f32(area));
  levels[(index * TILES_X * TILES_Y + group.x) * 256 + level] = u32(round(share));
}
#end

#if MEANS
@compute @workgroup_size(THREADS)
fn mean(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.x + id.y * groups.x * THREADS;
  if (at >= params.count * params.parts) {
    return;
  }
  let own = at / params.parts;
  let index = params.first + own;
  // The step whose mean this is: a contrast's slot stands in another place than a brightness-contrast's.
  var k = 0u;
  var weights = vec3f();
  for (; k < STEPS; k++) {
    let step = parameters[index * FLOATS + PROGRAM + k];
    if (step.x == CONTRAST && step.z == f32(params.slot)) {
      weights = vec3f(0.2989, 0.587, 0.114);
      break;
    }
    if (step.x == BRIGHTNESS_CONTRAST && step.w == f32(params.slot)) {
      weights = vec3f(1.0 / 3);
      break;
    }
  }
  var sum = 0.0;
  if (k < STEPS) {
    let geometry = geometry_of(index);
    let length = params.height * params.width;
    for (var pixel = at % params.parts; pixel < length; pixel += params.parts) {
      let place = vec2f(f32(pixel % params.width), f32(pixel / params.width));
      sum += dot(coloured(photo_at(own, source_of(geometry, place)), index, place, k), weights);
    }
  }
  sums[params.first * params.parts + at] = vec4f(sum, 0, 0, 0);
}
#end

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let own = id.z;
  let index = params.first + own;
  let geometry = geometry_of(index);
  let average = vec3f(params.meanR, params.meanG, params.meanB);
  let deviation = vec3f(params.stdR, params.stdG, params.stdB);
  let line = (own * params.height + id.y) * params.width;
  for (var column = id.x; column < params.width; column += groups.x * THREADS) {
    let place = vec2f(f32(column), f32(id.y));
    let source = source_of(geometry, place);
    let rgb = coloured(photo_at(own, source), index, place, STEPS);
    image[line + column] = vec4f((rgb - average) / deviation, 0);
    // Outside of the frame M is 0, background.
    let m = select(0u, fetch(own, source.nearest) >> 24, source.inside);
    mask[line + column] = vec4f(f32((params.foreground >> m) & 1) - f32((params.ignored >> m) & 1), 0, 0, 0);
  }
}
