// conv2dTiled: convolution and transposed convolution for GPUs, any kernel and stride, without subgroups.
//
//   As a GEMM: M = output pixels (flattened, so that small maps fill tiles), N = output channels, K = (tap, input
//   quad); sums as in conv2dPlain. transposed = 1 is done in strideY*strideX phases, the output pixels of one residue
//   (oy % strideY, ox % strideX): all of them use the same taps, and phase and tap give the input pixel without
//   division.
//
// x, w, bias: as in conv2dPlain, bias and y as f32
// Tile: PIXELS x CHANNELS outputs, THREAD_PIXELS x THREAD_CHANNELS per thread, 4 quads (16 channels) of K at a time
//   through workgroup memory. Both operands are quads over the reduction, so a step is a dot product and nothing is
//   transposed. The next quads are loaded into registers while the present ones are multiplied.
// Dispatch: x*y >= tiles of the largest phase, z = phases * blocks of CHANNELS. Assigns y, pads included; ADD: adds to it.
// MOMENTS: each tile's moments go into moments, batchNorm2d's partials, number x (not transposed, y = 1).

struct Params {
#include convolutionParams
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> moments: array<f32>;

const LANES_ACROSS = CHANNELS / THREAD_CHANNELS;
const LANES_DOWN = PIXELS / THREAD_PIXELS;
const THREADS = LANES_ACROSS * LANES_DOWN;
// Two quads of padding put the four rows that neighbouring threads write into different banks.
const PIXEL_ROW = PIXELS + 2;
const CHANNEL_ROW = CHANNELS + 2;
var<workgroup> xTile: array<vec4f, 4 * PIXEL_ROW>;
var<workgroup> wTile: array<vec4f, 4 * CHANNEL_ROW>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let channels = params.outputQuads * 4u;
  let blocks = (channels + ${CHANNELS - 1}u) / ${CHANNELS}u;
#include phase
  let start = i32(group.y * groups.x + group.x) * ${PIXELS};
  if (start >= pixels) {
    return;
  }
  let inputHeight = i32(params.inputHeight);
  let inputWidth = i32(params.inputWidth);
  let inputQuads = i32(params.inputQuads);
  let filterTaps = kernel.x * kernel.y;

  // This thread loads quad k of each four, of pixels and channels local/4, local/4 + THREADS/4, ... K is counted as
  // (tap, quad); the thread's place in it is kept as (tapY, tapX, quad) and moved on by additions.
  let line = local / 4u;
  let k = local % 4u;
  var quad = i32(k);
  var tapY = 0;
  var tapX = 0;
#for i in 0..PIXELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
  let p${i} = start + i32(line) + ${i} * (THREADS / 4);
  let n${i} = p${i} / size.y / size.x;
  let iy${i} = p${i} / size.y % size.x * inStep.x + offset.x;
  let ix${i} = p${i} % size.y * inStep.y + offset.y;
  var x${i} = vec4f();
#end
  let firstChannel = (group.z % blocks) * ${CHANNELS}u;
#for i in 0..CHANNELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
  let o${i} = firstChannel + line + ${i} * (THREADS / 4);
  var w${i} = vec4f();
#end

  let steps = (taps.x * taps.y * inputQuads + 3) / 4;
  let column = local % LANES_ACROSS;
  let row = local / LANES_ACROSS;
#for i in 0..THREAD_PIXELS
#for j in 0..THREAD_CHANNELS
  var a${i}_${j} = 0.0;
#end
#end
  for (var step = 0; step <= steps; step++) {
    if (step > 0) {
      workgroupBarrier();
#for i in 0..PIXELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
      xTile[k * PIXEL_ROW + line + ${i} * (THREADS / 4)] = x${i};
#end
#for i in 0..CHANNELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
      wTile[k * CHANNEL_ROW + line + ${i} * (THREADS / 4)] = w${i};
#end
      workgroupBarrier();
    }
    if (step < steps) {
      while (quad >= inputQuads && tapY < taps.x) {
        quad -= inputQuads;
        tapX++;
        if (tapX >= taps.y) {
          tapX = 0;
          tapY++;
        }
      }
      let some = tapY < taps.x;
#for i in 0..PIXELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
      {
        let sy = iy${i} + tapY * tapStep;
        let sx = ix${i} + tapX * tapStep;
        x${i} = vec4f();
        if (some && p${i} < pixels && sy >= 0 && sy < inputHeight && sx >= 0 && sx < inputWidth) {
          x${i} = vec4f(x[((n${i} * inputHeight + sy) * inputWidth + sx) * inputQuads + quad]);
        }
      }
#end
      let tap = (firstTap.x + tapY * filterStep.x) * kernel.y + firstTap.y + tapX * filterStep.y;
      let wRow = u32(quad * filterTaps + tap) * channels;
#for i in 0..CHANNELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
      w${i} = vec4f();
      if (some && o${i} < channels) {
        w${i} = w[wRow + o${i}];
      }
#end
      quad += 4;
    }
    if (step > 0) {
      for (var d = 0u; d < 4u; d++) {
#for j in 0..THREAD_CHANNELS
        let v${j} = wTile[d * CHANNEL_ROW + column + ${j} * LANES_ACROSS];
#end
#for i in 0..THREAD_PIXELS
        {
          let u = xTile[d * PIXEL_ROW + row + ${i} * LANES_DOWN];
#for j in 0..THREAD_CHANNELS
          a${i}_${j} += dot(u, v${j});
#end
        }
#end
      }
    }
  }

#for i in 0..THREAD_PIXELS
  {
    let p = start + i32(row + ${i} * LANES_DOWN);
    if (p < pixels) {
      let oy = p / size.y % size.x * outStep.x + phase.x;
      let ox = p % size.y * outStep.y + phase.y;
      let to = u32((p / size.y / size.x * i32(params.outputHeight) + oy) * i32(params.outputWidth) + ox) * channels;
#for j in 0..THREAD_CHANNELS
      {
        let o = firstChannel + column + ${j} * LANES_ACROSS;
        if (o < channels) {
          a${i}_${j} += select(0.0, bias[o], params.hasBias != 0u);
#if ADD
          a${i}_${j} += f32(y[to + o]);
#end
          y[to + o] = Stored(a${i}_${j});
        }
      }
#end
    }
  }
#end

#if MOMENTS
  // Moments of the tile as it is stored: count, mean and squared distances from it, as batchNorm2d merges them. Each thread's own first, then those of
  // the threads that share a channel, one after the other; xTile has room for a vec4f of each.
  let inside = min(pixels - start, ${PIXELS});
  let mine = (max(inside - i32(row), 0) + LANES_DOWN - 1) / LANES_DOWN;
#for j in 0..THREAD_CHANNELS
  {
    let o = firstChannel + column + ${j} * LANES_ACROSS;
#for i in 0..THREAD_PIXELS
    a${i}_${j} = f32(Number(a${i}_${j}));
#end
    var sum = 0.0;
#for i in 0..THREAD_PIXELS
    sum += select(0.0, a${i}_${j} - a0_${j}, ${i} < mine);
#end
    let mean = a0_${j} + sum / max(f32(mine), 1);
    var squares = 0.0;
#for i in 0..THREAD_PIXELS
    {
      let apart = select(0.0, a${i}_${j} - mean, ${i} < mine);
      squares += apart * apart;
    }
#end
    workgroupBarrier();
    xTile[local] = vec4f(f32(mine), mean, squares, 0);
    workgroupBarrier();
    if (row == 0 && o < channels) {
      var all = xTile[column];
      for (var r = 1u; r < LANES_DOWN; r++) {
        // Chan, Golub, LeVeque, as in batchNorm2d
        let next = xTile[r * LANES_ACROSS + column];
        let count = all.x + next.x;
        let apart = next.y - all.y;
        let share = next.x / count;
        all = vec4f(count, all.y + apart * share, all.z + next.z + apart * apart * (all.x * share), 0);
      }
      let at = (group.x * params.outputQuads + o / 4) * 12 + o % 4;
      moments[at] = all.x;
      moments[at + 4] = all.y;
      moments[at + 8] = all.z;
    }
  }
#end
#end
}
