enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
// conv2dWeightGradientMatrix: filter gradient of any convolution or transposed convolution of f16 images on matrix units.
//
//   As a GEMM: M = input channels of one tap, N = output channels, K = batch * height * width pixels, products of f16 added up
//   in f32; sums as in conv2dWeightGradientPlain.
//
// a, b  images (n, h, w, quads) of vec4h over channels, pad channels 0
// dw    filters (r4, tap, o) of vec4f over r, one for each split z, one after the other (stridedSum adds them); assigned
// Tile: a subgroup owns TALL x WIDE matrices of M x N of dw, and a workgroup SIDE x SIDE subgroups of LANES; TALL * M = WIDE * N, so
//   that it takes as many channels of a as of b. DEPTH pixels of both images go through workgroup memory at a time, zeros where there
//   is none, and lie there as in the images: a is the transposed operand, so it is loaded by columns. The next pixels are loaded
//   into registers while the present ones are multiplied. Rows are 16 bytes longer than needed, as in conv2dMatrix.
// Dispatch: x = blocks of CHANNELS output channels, y = taps * blocks of CHANNELS input channels, z = splits of the pixels,
//   pixelsPerSplit each; every split has at least one pixel.

struct Params {
#include weightGradientParams
  pixelsPerSplit: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4h>;
@group(0) @binding(2) var<storage, read> b: array<vec4h>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

const THREADS = LANES * SIDE * SIDE;
const CHANNELS = TALL * M * SIDE;
const QUADS = CHANNELS / 4;
// Pixels that the threads load at once.
const LINES = THREADS / QUADS;
const ROW = QUADS + 2;
var<workgroup> aTile: array<vec4h, DEPTH * ROW>;
var<workgroup> bTile: array<vec4h, DEPTH * ROW>;
// vec4f of a matrix of results.
const MATRIX = M * N / 4;
var<workgroup> outTile: array<vec4f, SIDE * SIDE * MATRIX>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_id) subgroup: u32,
        @builtin(local_invocation_index) local: u32) {
  let taps = params.kernelHeight * params.kernelWidth;
  let tap = group.y % taps;
  let k = vec2u(tap / params.kernelWidth, tap % params.kernelWidth);
  let aShift = vec2i(k * params.aTap) - vec2i(params.aPadTop, params.aPadLeft);
  let bShift = vec2i(k * params.bTap) - vec2i(params.bPadTop, params.bPadLeft);
  let aSize = vec2i(vec2u(params.aHeight, params.aWidth));
  let bSize = vec2i(vec2u(params.bHeight, params.bWidth));
  let begin = group.z * params.pixelsPerSplit;
  let end = min(begin + params.pixelsPerSplit, params.batch * params.height * params.width);

  // This thread loads vec4h number local % QUADS of both images, of pixels local / QUADS, + LINES, ... of each DEPTH.
  let line = local / QUADS;
  let lane = local % QUADS;
  let aQuad = group.y / taps * QUADS + lane;
  let bQuad = group.x * QUADS + lane;
#for i in 0..(DEPTH * TALL * M + 4 * LANES * SIDE - 1) / (4 * LANES * SIDE)
  var a${i} = vec4h();
  var b${i} = vec4h();
#end
#for i in 0..TALL
#for j in 0..WIDE
  var c${i}_${j} = subgroup_matrix_result<f32, N, M>();
#end
#end
  let row = subgroup / SIDE * TALL * M;
  let column = subgroup % SIDE * WIDE * N;
  let steps = (end - begin + DEPTH - 1) / DEPTH;
  for (var step = 0u; step <= steps; step++) {
    if (step > 0u) {
      workgroupBarrier();
#for i in 0..(DEPTH * TALL * M + 4 * LANES * SIDE - 1) / (4 * LANES * SIDE)
      if (line + ${i} * LINES < DEPTH) {
        aTile[(line + ${i} * LINES) * ROW + lane] = a${i};
        bTile[(line + ${i} * LINES) * ROW + lane] = b${i};
      }
#end
      workgroupBarrier();
    }
    if (step < steps) {
#for i in 0..(DEPTH * TALL * M + 4 * LANES * SIDE - 1) / (4 * LANES * SIDE)
      {
        let p = begin + step * DEPTH + line + ${i} * LINES;
        let grid = vec2u(p / params.width % params.height, p % params.width);
        let n = p / params.width / params.height;
        let ia = vec2i(grid * vec2u(params.aStrideY, params.aStrideX)) + aShift;
        let ib = vec2i(grid * vec2u(params.bStrideY, params.bStrideX)) + bShift;
        a${i} = vec4h();
        b${i} = vec4h();
        if (p < end && aQuad < params.aQuads && all(ia >= vec2i()) && all(ia < aSize)) {
          a${i} = a[((n * params.aHeight + u32(ia.x)) * params.aWidth + u32(ia.y)) * params.aQuads + aQuad];
        }
        if (p < end && bQuad < params.bQuads && all(ib >= vec2i()) && all(ib < bSize)) {
          b${i} = b[((n * params.bHeight + u32(ib.x)) * params.bWidth + u32(ib.y)) * params.bQuads + bQuad];
        }
      }
#end
    }
    if (step > 0u) {
#for k in 0..DEPTH / K
      {
#for i in 0..TALL
        let left${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, K, M>, col_major>(
          &aTile, ${k} * K * ROW + (row + ${i} * M) / 4, ROW);
#end
#for j in 0..WIDE
        let right${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, N, K>, row_major>(
          &bTile, ${k} * K * ROW + (column + ${j} * N) / 4, ROW);
#end
#for i in 0..TALL
#for j in 0..WIDE
        c${i}_${j} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, c${i}_${j});
#end
#end
      }
#end
    }
  }

  // A matrix of each subgroup at a time; by columns, so that a vec4f runs over input channels as in the filter.
  let outs = params.bQuads * 4u;
#for i in 0..TALL
#for j in 0..WIDE
  workgroupBarrier();
  subgroupMatrixStore<col_major>(&outTile, subgroup * MATRIX, c${i}_${j}, M / 4);
  workgroupBarrier();
  for (var e = local; e < SIDE * SIDE * MATRIX; e += THREADS) {
    let owner = e / MATRIX;
    let r4 = group.y / taps * QUADS + (owner / SIDE * TALL + ${i}) * M / 4 + e % (M / 4);
    let o = group.x * CHANNELS + (owner % SIDE * WIDE + ${j}) * N + e % MATRIX / (M / 4);
    if (r4 < params.aQuads && o < outs) {
      dw[((group.z * params.aQuads + r4) * taps + tap) * outs + o] = outTile[e];
    }
  }
#end
#end
}
