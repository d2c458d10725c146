enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dSubgroup3x3: convolution 3x3, stride 1, any padding, for CPU adapters (fixed subgroup size LANES).
//
//   y[n,oy,ox,o] = bias[o] + sum over ky,kx,r of x[n, oy+ky-padTop, ox+kx-padLeft, r] * w[r,ky,kx,o]
//
// x, w, bias: as in conv2dPlain; y the same memory, by VECTORS numbers. TEXELS not 0: x and w in textures (engine/texels.ts)
// Tile: a workgroup is one subgroup and computes ROWS x COLUMNS pixels x LANES*VECTORS channels; a lane owns VECTORS
//   neighbouring channels, which it stores at once. The input tile with its border is gathered once per quad of channels, LANES
//   pixels at a time, and serves all nine taps by subgroupBroadcast. Loads are the price on a software adapter: 31 gathers feed
//   4608 multiply-adds per lane at 8x8 pixels, two channels and 8 lanes. More accumulators than registers do not hurt; a row
//   of taps at a time keeps the blocks of code short enough for LLVM.
//   Measured on llvmpipe (Mesa 25.0.7, LLVM 15), GFLOP/s. Two cores of a 2.6 GHz Zen 4, from textures, 64->64 32x32 N=4:
//     tile, channels of a lane   8x8 2   8x8 1   4x8 2   4x8 4   4x4 4
//     16 lanes                   103     96      96      102     90        (64->64 64x64 N=2: 101)
//     8 lanes                    73      59      66      72      64        (75)
//   Channels LANES apart, stored one by one: 86 at 16 lanes and 8x8 2, and 1.3 times as long to compile.
//   Two threads of a 2.5 GHz Xeon, 8 lanes, 64->64 64x64 N=2, one and two channels: 21 and 20 from buffers (3.7 and 7 s to
//   compile), 39 and 45 from textures (2 and 3.6 s); without any load in the loop 50. No gain there: 12x8 pixels of two channels
//   (1.03 times as fast, half as long again to compile), row by row over all four channels, three multiply-adds on one
//   accumulator in a row, rows of LANES pixels with a loop over ky (0.85), the filter in a uniform buffer (level with a
//   sampled texture), stores into a texture (0.75). Winograd F(2x2,3x3), estimated: 4 times the loads of a multiply-add and the
//   transforms' stores take more than its 2.25 times fewer multiplications give.
// Dispatch: x = tiles along the row, y = batch * tiles along the column, z = blocks of LANES*VECTORS channels.
// Assigns y, pads included.
// MOMENTS: each tile's moments go into moments, batchNorm2d's partials, number y * tiles along the row + x.

struct Params {
  batch: u32,
  inputHeight: u32,
  inputWidth: u32,
  inputQuads: u32,
  outputHeight: u32,
  outputWidth: u32,
  outputQuads: u32,
  padTop: i32,
  padLeft: i32,
  hasBias: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
#texels 2 w vec4f
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> moments: array<Slots>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(subgroup_invocation_id) lane: u32) {
  let tilesDown = (params.outputHeight + ${ROWS - 1}u) / ${ROWS}u;
  let n = group.y / tilesDown;
  let top = group.y % tilesDown * ${ROWS}u;
  let left = group.x * ${COLUMNS}u;
  let channels = params.outputQuads * 4u;
  // channels are whole vectors of a lane's
  let o = group.z * ${LANES * VECTORS}u + lane * ${VECTORS}u;
  let first = min(o, channels - ${VECTORS}u);
  if (n >= params.batch || left >= params.outputWidth || group.z * ${LANES * VECTORS}u >= channels) {
    return;
  }
  let inputHeight = i32(params.inputHeight);
  let inputWidth = i32(params.inputWidth);

#for g in 0..((ROWS + 2) * (COLUMNS + 2) + LANES - 1) / LANES
  let t${g} = min(${g * LANES}u + lane, ${(ROWS + 2) * (COLUMNS + 2) - 1}u);
  let iy${g} = i32(top + t${g} / ${COLUMNS + 2}u) - params.padTop;
  let ix${g} = i32(left + t${g} % ${COLUMNS + 2}u) - params.padLeft;
  let inside${g} = iy${g} >= 0 && iy${g} < inputHeight && ix${g} >= 0 && ix${g} < inputWidth;
  let from${g} = select(0u, u32((i32(n) * inputHeight + iy${g}) * inputWidth + ix${g}) * params.inputQuads, inside${g});
#end
#for v in 0..VECTORS
  var start${v} = 0.0;
  if (params.hasBias != 0u) {
    start${v} = bias[first + ${v}u];
  }
#for i in 0..ROWS
#for j in 0..COLUMNS
  var a${v}_${i}_${j} = start${v};
#end
#end
#end

  for (var r4 = 0u; r4 < params.inputQuads; r4++) {
#for g in 0..((ROWS + 2) * (COLUMNS + 2) + LANES - 1) / LANES
    let q${g} = select(vec4f(), loadX(from${g} + r4), inside${g});
#end
    let at = r4 * 9u * channels;
#for ky in 0..3
#for kx in 0..3
#for v in 0..VECTORS
    let w${ky}_${kx}_${v} = loadW(at + ${ky * 3 + kx}u * channels + first + ${v}u);
#end
#end
#for c in 0..4
#for i in 0..ROWS
#for j in 0..COLUMNS + 2
    {
      let b = subgroupBroadcast(q${((i + ky) * (COLUMNS + 2) + j) / LANES}[${c}],
        ${((i + ky) * (COLUMNS + 2) + j) % LANES}u);
#for kx in 0..3
#if j - kx >= 0 && j - kx < COLUMNS
#for v in 0..VECTORS
      a${v}_${i}_${j - kx} = fma(b, w${ky}_${kx}_${v}[${c}], a${v}_${i}_${j - kx});
#end
#end
#end
    }
#end
#end
#end
#end
  }

  if (o < channels) {
    let slots = channels / ${VECTORS}u;
    let to = ((n * params.outputHeight + top) * params.outputWidth + left) * slots + o / ${VECTORS}u;
#for i in 0..ROWS
    if (top + ${i}u < params.outputHeight) {
#for j in 0..COLUMNS
      if (left + ${j}u < params.outputWidth) {
#if VECTORS == 1
        y[to + (${i}u * params.outputWidth + ${j}u) * slots] = Stored(a0_${i}_${j});
#end
#if VECTORS == 2
        y[to + (${i}u * params.outputWidth + ${j}u) * slots] = Stored(vec2f(a0_${i}_${j}, a1_${i}_${j}));
#end
#if VECTORS == 4
        y[to + (${i}u * params.outputWidth + ${j}u) * slots] = Stored(vec4f(a0_${i}_${j}, a1_${i}_${j}, a2_${i}_${j}, a3_${i}_${j}));
#end
      }
#end
    }
#end
  }

#if MOMENTS
  // Moments of the tile: count, mean and squared distances from it, as batchNorm2d merges them. Sums are taken from a value of the
  // channel, since a mean far from 0 would round them.
  {
    let count = f32(min(params.outputHeight - top, ${ROWS}u) * min(params.outputWidth - left, ${COLUMNS}u));
#for v in 0..VECTORS
    var sum${v} = 0.0;
#for i in 0..ROWS
#for j in 0..COLUMNS
    sum${v} += select(0.0, a${v}_${i}_${j} - a${v}_0_0, top + ${i}u < params.outputHeight && left + ${j}u < params.outputWidth);
#end
#end
    let mean${v} = a${v}_0_0 + sum${v} / count;
    var squares${v} = 0.0;
#for i in 0..ROWS
#for j in 0..COLUMNS
    {
      let apart = select(0.0, a${v}_${i}_${j} - mean${v}, top + ${i}u < params.outputHeight && left + ${j}u < params.outputWidth);
      squares${v} = fma(apart, apart, squares${v});
    }
#end
#end
#end
#if VECTORS == 1
    let means = Slots(mean0);
    let squares = Slots(squares0);
#end
#if VECTORS == 2
    let means = Slots(mean0, mean1);
    let squares = Slots(squares0, squares1);
#end
#if VECTORS == 4
    let means = Slots(mean0, mean1, mean2, mean3);
    let squares = Slots(squares0, squares1, squares2, squares3);
#end
    if (o < channels) {
      let at = (((group.y * groups.x + group.x) * params.outputQuads + o / 4u) * 12u + o % 4u) / ${VECTORS}u;
      moments[at] = Slots(count);
      moments[at + ${4 / VECTORS}u] = means;
      moments[at + ${8 / VECTORS}u] = squares;
    }
  }
#end
}
