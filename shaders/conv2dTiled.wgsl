// conv2dTiled: convolution and transposed convolution for GPUs, any kernel and stride, without subgroups.
//
//   As a GEMM: M = output pixels (flattened, so that small maps fill tiles), N = output channels, K = (tap, input quad); sums as in
//   conv2dPlain. transposed = 1 is done in stride*stride phases, the output pixels of one residue (oy % stride, ox % stride): all of
//   them use the same taps, and phase and tap give the input pixel without division.
//
// x, w, bias: as in conv2dPlain, bias and y as f32
// Tile: PIXELS x CHANNELS outputs, THREAD_PIXELS x THREAD_CHANNELS per thread, 4 quads (16 channels) of K at a time through
//   workgroup memory. Both operands are quads over the reduction, so a step is a dot product and nothing is transposed. The next
//   quads are loaded into registers while the present ones are multiplied.
// Dispatch: x*y >= tiles of the largest phase, z = phases * blocks of CHANNELS. Assigns y, pads included.

struct Params {
  batch: u32,
  inputHeight: u32,
  inputWidth: u32,
  inputQuads: u32,
  outputHeight: u32,
  outputWidth: u32,
  outputQuads: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  stride: u32,
  padTop: i32,
  padLeft: i32,
  transposed: u32,
  hasBias: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const LANES_ACROSS = CHANNELS / THREAD_CHANNELS;
const LANES_DOWN = PIXELS / THREAD_PIXELS;
const THREADS = LANES_ACROSS * LANES_DOWN;
// Rows of PIXELS + 2 quads put the four quads of a pixel into different banks.
const PIXEL_ROW = PIXELS + 2;
var<workgroup> xTile: array<vec4f, 4 * PIXEL_ROW>;
var<workgroup> wTile: array<vec4f, 4 * CHANNELS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  // Along one axis, output row m of this phase and its tap a read input row m*inStep + a*tapStep + offset, and the filter's
  // row is firstTap + a*filterStep.
  var phase = vec2i();
  var outStep = 1;
  var inStep = i32(params.stride);
  var tapStep = 1;
  var filterStep = 1;
  var firstTap = vec2i();
  var offset = -vec2i(params.padTop, params.padLeft);
  let channels = params.outputQuads * 4u;
  let blocks = (channels + ${CHANNELS - 1}u) / ${CHANNELS}u;
  let kernel = vec2i(vec2u(params.kernelHeight, params.kernelWidth));
  var taps = kernel;
  if (params.transposed != 0u) {
    let stride = i32(params.stride);
    let index = i32(group.z / blocks);
    phase = vec2i(index / stride, index % stride);
    outStep = stride;
    inStep = 1;
    tapStep = -1;
    filterStep = stride;
    let shifted = phase + vec2i(params.padTop, params.padLeft);
    firstTap = shifted % stride;
    offset = shifted / stride;
    taps = (kernel - firstTap + stride - 1) / stride;
  }
  let size = (vec2i(vec2u(params.outputHeight, params.outputWidth)) - phase + outStep - 1) / outStep;
  let pixels = i32(params.batch) * size.x * size.y;
  let start = i32(group.y * groups.x + group.x) * ${PIXELS};
  if (start >= pixels) {
    return;
  }
  let inputHeight = i32(params.inputHeight);
  let inputWidth = i32(params.inputWidth);
  let inputQuads = i32(params.inputQuads);
  let filterTaps = kernel.x * kernel.y;

  // What this thread loads: quad `k` of pixels local/4, local/4 + THREADS/4, ..., and of channels ditto along THREADS.
  let k = i32(local % 4u);
#for i in 0..PIXELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
  let p${i} = start + i32(local / 4u) + ${i} * (THREADS / 4);
  let n${i} = select(-1, p${i} / size.y / size.x, p${i} < pixels);
  let iy${i} = p${i} / size.y % size.x * inStep + offset.x;
  let ix${i} = p${i} % size.y * inStep + offset.y;
  var x${i} = vec4f();
#end
  let firstChannel = (group.z % blocks) * ${CHANNELS}u;
#for i in 0..CHANNELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
  let column${i} = (local + ${i} * THREADS) % CHANNELS;
  let depth${i} = i32((local + ${i} * THREADS) / CHANNELS);
  let o${i} = firstChannel + column${i};
  var w${i} = vec4f();
#end

  // K is counted as (tap, quad): `quad` and `tap` are where this thread's pixel loads stand.
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
      xTile[u32(k) * PIXEL_ROW + local / 4u + ${i} * (THREADS / 4)] = x${i};
#end
#for i in 0..CHANNELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
      wTile[local + ${i} * THREADS] = w${i};
#end
      workgroupBarrier();
    }
    if (step < steps) {
      let at = step * 4 + k;
      let tap = at / inputQuads;
      let quad = at % inputQuads;
      let shift = vec2i(tap / taps.y, tap % taps.y) * tapStep;
      let some = tap < taps.x * taps.y;
#for i in 0..PIXELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
      {
        let sy = iy${i} + shift.x;
        let sx = ix${i} + shift.y;
        x${i} = vec4f();
        if (some && n${i} >= 0 && sy >= 0 && sy < inputHeight && sx >= 0 && sx < inputWidth) {
          x${i} = x[((n${i} * inputHeight + sy) * inputWidth + sx) * inputQuads + quad];
        }
      }
#end
#for i in 0..CHANNELS * 4 / (CHANNELS / THREAD_CHANNELS * (PIXELS / THREAD_PIXELS))
      {
        let wAt = step * 4 + depth${i};
        let wTap = wAt / inputQuads;
        w${i} = vec4f();
        if (wTap < taps.x * taps.y && o${i} < channels) {
          let t = (firstTap.x + wTap / taps.y * filterStep) * kernel.y + firstTap.y + wTap % taps.y * filterStep;
          w${i} = w[u32(wAt % inputQuads * filterTaps + t) * channels + o${i}];
        }
      }
#end
    }
    if (step > 0) {
      for (var d = 0u; d < 4u; d++) {
#for j in 0..THREAD_CHANNELS
        let v${j} = wTile[d * CHANNELS + column + ${j} * LANES_ACROSS];
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
      let oy = p / size.y % size.x * outStep + phase.x;
      let ox = p % size.y * outStep + phase.y;
      let to = u32((p / size.y / size.x * i32(params.outputHeight) + oy) * i32(params.outputWidth) + ox) * channels;
#for j in 0..THREAD_CHANNELS
      {
        let o = firstChannel + column + ${j} * LANES_ACROSS;
        if (o < channels) {
          y[to + o] = a${i}_${j} + select(0.0, bias[o], params.hasBias != 0u);
        }
      }
#end
    }
  }
#end
}
