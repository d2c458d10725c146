enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
// conv2dMatrix: convolution and transposed convolution of f16 images on matrix units, any kernel and stride.
//
//   As a GEMM: M = output pixels (flattened), N = output channels, K = (tap, input channel), products of f16 added up in f32;
//   sums as in conv2dPlain. transposed = 1 is done in strideY*strideX phases, the output pixels of one residue (oy % strideY, ox %
//   strideX): all of them use the same taps, and phase and tap give the input pixel without division.
//
// x, y  images (n, h, w, quads) of vec4h over channels, pad channels 0
// w     as filterHalves makes it: `depth` (a multiple of DEPTH) rows a tap, `columns` (a multiple of CHANNELS) columns
// bias  outputQuads vec4f, pads 0; not read when hasBias = 0
// Tile: a subgroup owns TALL x WIDE matrices of M x N outputs, a workgroup DOWN x ACROSS subgroups of LANES. Pixels go through
//   workgroup memory, DEPTH channels of one tap at a time, zeros where there is no pixel or channel; the next ones are loaded
//   into registers while the present ones are multiplied. Weights are loaded from where they are, which halves the staging
//   (sokrypton/localfold docs/A100.md: 20.6 to 39.3 TFLOP/s with that and the prefetch). Rows in workgroup memory are 16 bytes
//   longer than they need to be: neighbouring rows then lie in different banks, and keep the alignment that matrices ask for.
//   Results go through workgroup memory too, so that ragged edges are a comparison at the store, and y is rounded to f16 once.
// Dispatch: x*y >= tiles of PIXELS of the largest phase, z = phases * blocks of CHANNELS. Assigns y, pads included; ADD: adds to it.
// MOMENTS: each tile's moments, of what is stored, go into moments, batchNorm2d's partials, number x (not transposed, y = 1).

struct Params {
#include convolutionParams
  depth: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4h>;
@group(0) @binding(2) var<storage, read> w: array<vec4h>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4h>;
@group(0) @binding(5) var<storage, read_write> moments: array<vec4f>;

const THREADS = LANES * DOWN * ACROSS;
const PIXELS = TALL * M * DOWN;
const CHANNELS = WIDE * N * ACROSS;
// vec4h of a chunk of channels; pixels that the threads load at once.
const QUADS = DEPTH / 4;
const LINES = THREADS / QUADS;
const X_ROW = QUADS + 2;
var<workgroup> xTile: array<vec4h, PIXELS * X_ROW>;
// vec4f of a matrix of results.
const MATRIX = M * N / 4;
// vec4f of channels that the subgroups' matrices have side by side, and threads of each.
const COLUMNS = ACROSS * N / 4;
const ROWS = THREADS / COLUMNS;
#if MOMENTS
var<workgroup> outTile: array<vec4f, max(DOWN * ACROSS * MATRIX, 2 * THREADS)>;
var<workgroup> counts: array<f32, THREADS>;

#include moments

// The first COLUMNS threads get the moments of all that share their channels. outTile has room for a mean and a sum of each.
fn mergeColumn(local: u32, mine: Moments) -> Moments {
  var all = mine;
  workgroupBarrier();
  for (var reach = THREADS / 2u; reach >= COLUMNS; reach /= 2u) {
    if (local < 2 * reach) {
      counts[local] = all.count;
      outTile[2 * local] = all.mean;
      outTile[2 * local + 1] = all.squares;
    }
    workgroupBarrier();
    if (local < reach) {
      let other = local + reach;
      all = merge(all, Moments(counts[other], outTile[2 * other], outTile[2 * other + 1]));
    }
  }
  return all;
}
#else
var<workgroup> outTile: array<vec4f, DOWN * ACROSS * MATRIX>;
#end

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(subgroup_id) subgroup: u32, @builtin(local_invocation_index) local: u32) {
  let blocks = params.columns / CHANNELS;
#include phase
  let start = i32(group.y * groups.x + group.x) * PIXELS;
  if (start >= pixels) {
    return;
  }
  let inputHeight = i32(params.inputHeight);
  let inputWidth = i32(params.inputWidth);
  let firstChannel = (group.z % blocks) * CHANNELS;

  // This thread loads vec4h number local % QUADS of each chunk, of pixels local / QUADS, + LINES, ...
  let line = local / QUADS;
  let quadOfChunk = local % QUADS;
#for i in 0..(TALL * M * DEPTH + 4 * LANES * ACROSS - 1) / (4 * LANES * ACROSS)
  let p${i} = start + i32(line) + ${i} * LINES;
  let n${i} = p${i} / size.y / size.x;
  let iy${i} = p${i} / size.y % size.x * inStep.x + offset.x;
  let ix${i} = p${i} % size.y * inStep.y + offset.y;
  var x${i} = vec4h();
#end

#for i in 0..TALL
#for j in 0..WIDE
  var c${i}_${j} = subgroup_matrix_result<f32, N, M>();
#end
#end
  let row = subgroup / ACROSS * TALL * M;
  let column = subgroup % ACROSS * WIDE * N;
  let chunks = i32(params.depth / DEPTH);
  let steps = max(taps.x, 0) * max(taps.y, 0) * chunks;
  // Of the chunk that is loaded next, and the row of w at which the present one begins.
  var tapY = 0;
  var tapX = 0;
  var chunk = 0;
  var next = 0u;
  for (var step = 0; step <= steps; step++) {
    let present = next;
    if (step > 0) {
      workgroupBarrier();
#for i in 0..(TALL * M * DEPTH + 4 * LANES * ACROSS - 1) / (4 * LANES * ACROSS)
      if (line + ${i} * LINES < PIXELS) {
        xTile[(line + ${i} * LINES) * X_ROW + quadOfChunk] = x${i};
      }
#end
      workgroupBarrier();
    }
    if (step < steps) {
      let quad = u32(chunk) * QUADS + quadOfChunk;
#for i in 0..(TALL * M * DEPTH + 4 * LANES * ACROSS - 1) / (4 * LANES * ACROSS)
      {
        let sy = iy${i} + tapY * tapStep;
        let sx = ix${i} + tapX * tapStep;
        x${i} = vec4h();
        if (quad < params.inputQuads && p${i} < pixels && sy >= 0 && sy < inputHeight && sx >= 0 && sx < inputWidth) {
          x${i} = x[u32((n${i} * inputHeight + sy) * inputWidth + sx) * params.inputQuads + quad];
        }
      }
#end
      let tap = (firstTap.x + tapY * filterStep.x) * kernel.y + firstTap.y + tapX * filterStep.y;
      next = u32(tap * chunks + chunk) * DEPTH;
      chunk++;
      if (chunk == chunks) {
        chunk = 0;
        tapX++;
        if (tapX == taps.y) {
          tapX = 0;
          tapY++;
        }
      }
    }
    if (step > 0) {
#for k in 0..DEPTH / K
      {
#for i in 0..TALL
        let a${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, K, M>, row_major>(
          &xTile, (row + ${i} * M) * X_ROW + ${k} * K / 4, X_ROW);
#end
#for j in 0..WIDE
        let b${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, N, K>, row_major>(
          &w, ((present + ${k} * K) * params.columns + firstChannel + column + ${j} * N) / 4, params.columns / 4);
#end
#for i in 0..TALL
#for j in 0..WIDE
        c${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, c${i}_${j});
#end
#end
      }
#end
    }
  }

  // A matrix of each subgroup at a time, and in each of them a vec4f of channels for every thread.
  let lane = local % COLUMNS;
  let block = lane / (N / 4);
#for j in 0..WIDE
  {
    let quad = (firstChannel + (block * WIDE + ${j}) * N) / 4 + lane % (N / 4);
#if MOMENTS
    var mine = Moments();
#end
#for i in 0..TALL
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&outTile, subgroup * MATRIX, c${i}_${j}, N / 4);
    workgroupBarrier();
    for (var r = local / COLUMNS; r < DOWN * M; r += ROWS) {
      let p = start + i32((r / M * TALL + ${i}) * M + r % M);
      if (p < pixels && quad < params.outputQuads) {
        let oy = p / size.y % size.x * outStep.x + phase.x;
        let ox = p % size.y * outStep.y + phase.y;
        let to = (p / size.y / size.x * i32(params.outputHeight) + oy) * i32(params.outputWidth) + ox;
        var value = outTile[(r / M * ACROSS + block) * MATRIX + r % M * (N / 4) + lane % (N / 4)];
        if (params.hasBias != 0u) {
          value += bias[quad];
        }
#if ADD
        value += vec4f(y[u32(to) * params.outputQuads + quad]);
#end
        // Drivers leave vec4f(vec4h(value)) out (Mesa 25 and 26): the moments would be those of other numbers than y's.
        let stored = quantizeToF16(value);
        y[u32(to) * params.outputQuads + quad] = vec4h(stored);
#if MOMENTS
        // Welford's update.
        mine.count += 1;
        let apart = stored - mine.mean;
        mine.mean += apart / mine.count;
        mine.squares += apart * (stored - mine.mean);
#end
      }
    }
#end
#if MOMENTS
    mine = mergeColumn(local, mine);
    if (local < COLUMNS && quad < params.outputQuads) {
      let at = ((group.y * groups.x + group.x) * params.outputQuads + quad) * 3;
      moments[at] = vec4f(mine.count);
      moments[at + 1] = mine.mean;
      moments[at + 2] = mine.squares;
    }
#end
  }
#end
}
