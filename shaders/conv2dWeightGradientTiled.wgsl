// conv2dWeightGradientTiled: filter gradient of any convolution or transposed convolution for GPUs, without subgroups.
//
//   As a GEMM: M = (tap, input channel), N = output channel, K = batch * height * width pixels; sums as in
//   conv2dWeightGradientPlain.
//
// a, b  images (n, h, w, quads) of Quad (vec4f or vec4h) over channels, pad channels 0
// dw    filters (r4, tap, o) of vec4 over r, one for each split z, one after the other (stridedSum adds them); assigned
// Tile: 16 rows of quads (row = tap*rowsPerTap + r4) x 64 output channels, 2 quads x 8 channels for each of 64 threads,
//   16 pixels of K at a time through workgroup memory.
// Host: rowsPerTap = aQuads, or where bTap = 1 its next multiple of 16 (the rows of a tile then share a tap).
// Dispatch: x = blocks of 64 output channels, y = blocks of 16 rows, z = splits of the pixels, pixelsPerSplit each;
//   every split has at least one pixel.

struct Params {
#include weightGradientParams
  rowsPerTap: u32,
  pixelsPerSplit: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Quad>;
@group(0) @binding(2) var<storage, read> b: array<Quad>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

var<workgroup> aTile: array<vec4f, 256>;
var<workgroup> bTile: array<vec4f, 256>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let taps = params.kernelHeight * params.kernelWidth;
  if (group.x * 16u >= params.bQuads || group.y * 16u >= params.rowsPerTap * taps) {
    return;
  }
  // This thread loads row and column local % 16 of pixels local/16 * 4 + 0, 1, 2, 3 of each sixteen.
  let lane = local % 16u;
  let rowLoaded = group.y * 16u + lane;
  let tap = rowLoaded / params.rowsPerTap;
  let quad = rowLoaded % params.rowsPerTap;
  let hasA = tap < taps && quad < params.aQuads;
  let o4Loaded = group.x * 16u + lane;
  let hasB = o4Loaded < params.bQuads;
  let aShift = vec2i(vec2u(tap / params.kernelWidth, tap % params.kernelWidth) * params.aTap)
    - vec2i(params.aPadTop, params.aPadLeft);
  let tileTap = group.y * 16u / params.rowsPerTap;
  let bShift = vec2i(vec2u(tileTap / params.kernelWidth, tileTap % params.kernelWidth) * params.bTap)
    - vec2i(params.bPadTop, params.bPadLeft);
  let aSize = vec2i(vec2u(params.aHeight, params.aWidth));
  let bSize = vec2i(vec2u(params.bHeight, params.bWidth));

  let begin = group.z * params.pixelsPerSplit;
  let end = min(begin + params.pixelsPerSplit, params.batch * params.height * params.width);
  // Pixel of the next load, kept as (n, py, px) and moved on by additions: 16 pixels a step, 4 of them one by one.
  var p = begin + local / 16u * 4u;
  var n = p / params.width / params.height;
  var py = p / params.width % params.height;
  var px = p % params.width;
  let skipX = 12u % params.width;
  let skipY = 12u / params.width;

#for i in 0..4
  var a${i} = vec4f();
  var b${i} = vec4f();
#end
  let row = local / 8u;
  let column = local % 8u;
#for q in 0..2
#for o in 0..8
  var s${q}_${o} = vec4f();
#end
#end
  let steps = (end - begin + 15u) / 16u;
  for (var step = 0u; step <= steps; step++) {
    if (step > 0u) {
      workgroupBarrier();
#for i in 0..4
      aTile[(local / 16u * 4u + ${i}u) * 16u + lane] = a${i};
      bTile[(local / 16u * 4u + ${i}u) * 16u + lane] = b${i};
#end
      workgroupBarrier();
    }
    if (step < steps) {
#for i in 0..4
      {
        let ia = vec2i(vec2u(py, px) * vec2u(params.aStrideY, params.aStrideX)) + aShift;
        let ib = vec2i(vec2u(py, px) * vec2u(params.bStrideY, params.bStrideX)) + bShift;
        a${i} = vec4f();
        b${i} = vec4f();
        if (p < end && hasA && all(ia >= vec2i()) && all(ia < aSize)) {
          a${i} = vec4f(a[((n * params.aHeight + u32(ia.x)) * params.aWidth + u32(ia.y)) * params.aQuads + quad]);
        }
        if (p < end && hasB && all(ib >= vec2i()) && all(ib < bSize)) {
          b${i} = vec4f(b[((n * params.bHeight + u32(ib.x)) * params.bWidth + u32(ib.y)) * params.bQuads + o4Loaded]);
        }
        p++;
        px++;
        if (px == params.width) {
          px = 0u;
          py++;
          if (py == params.height) {
            py = 0u;
            n++;
          }
        }
      }
#end
      p += 12u;
      px += skipX;
      py += skipY;
      if (px >= params.width) {
        px -= params.width;
        py++;
      }
      n += py / params.height;
      py %= params.height;
    }
    if (step > 0u) {
      for (var k = 0u; k < 16u; k++) {
        let u0 = aTile[k * 16u + row];
        let u1 = aTile[k * 16u + row + 8u];
        let v0 = bTile[k * 16u + column];
        let v1 = bTile[k * 16u + column + 8u];
#for q in 0..2
#for o in 0..8
        s${q}_${o} += u${q} * v${o / 4}[${o % 4}];
#end
#end
      }
    }
  }

  let channels = params.bQuads * 4u;
#for q in 0..2
  {
    let m = group.y * 16u + row + ${q * 8}u;
    let t = m / params.rowsPerTap;
    let r4 = m % params.rowsPerTap;
    if (t < taps && r4 < params.aQuads) {
      let to = ((group.z * params.aQuads + r4) * taps + t) * channels;
#for h in 0..2
      {
        let o4 = group.x * 16u + column + ${h * 8}u;
        if (o4 < params.bQuads) {
#for o in 0..4
          dw[to + o4 * 4u + ${o}u] = s${q}_${h * 4 + o};
#end
        }
      }
#end
    }
  }
#end
}
