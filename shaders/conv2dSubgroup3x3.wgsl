enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dSubgroup3x3: convolution 3x3, stride 1, any padding, for CPU adapters (fixed subgroup size LANES).
//
//   y[n,oy,ox,o] = bias[o] + sum over ky,kx,r of x[n, oy+ky-padTop, ox+kx-padLeft, r] * w[r,ky,kx,o]
//
// x, w, bias: as in conv2dPlain; y the same memory, by VECTORS numbers. TEXELS not 0: x and w in textures (engine/texels.ts)
//   JOINED: x is two maps, of inputQuads and secondQuads, the second one from texel secondAt on, and r goes through the channels of both.
//   Baked in, since the choice costs up to 5 % of a map's products (16->16 128x128 N=4, 8 lanes), a loop over maps 8 to 13 %.
// Tile: a workgroup is one subgroup and computes ROWS x COLUMNS pixels x LANES*VECTORS channels; a lane owns VECTORS
//   neighbouring channels, which it stores at once. TAP_ROWS rows of taps, 1 or 3, are done for all channels of x before the
//   next. For each quad of channels the pixels that they meet are gathered, LANES at a time, and spread to the lanes; BLOCK rows
//   of pixels share a channel before the next channel. Loads are the price on a software adapter: 25 gathers feed 4608
//   multiply-adds per lane at 8x8 pixels, two channels, three rows of taps and 16 lanes. What is spread costs one instruction at 8
//   lanes by a shuffle and four by a broadcast; at 16 lanes a shuffle is a loop.
//   Measured on llvmpipe (Mesa 25.0.7, LLVM 15), GFLOP/s. Two cores of a 2.6 GHz Zen 4, from textures, 64->64 32x32 N=4:
//     tile, channels of a lane       8x8 2   8x8 1   4x8 1   4x8 2   4x8 4   4x4 4
//     16 lanes, three rows of taps   103     96              96      102     90      (64->64 64x64 N=2: 106)
//     16 lanes, one                          79              89      100     87
//     8 lanes, three, by broadcast   75      62              66      72      65      (75)
//     8 lanes, one                           78      75      89              84      (91)
//   At 8 lanes code that leaves the instruction cache is the limit: 768 multiply-adds for a row of taps at 4x8 pixels and two
//   channels stay in it, and take a quarter of the time to compile (0.45 s). One row of taps and 16 lanes at 8x8 4: 95; 2x16 4: 98.
//   BLOCK 1 and ROWS at one row of taps, 8 lanes: 78 and 74; at three rows, 16 lanes from buffers: 51 and 58.
//   Channels LANES apart, stored one by one: 86 at 16 lanes and 8x8 2, and 1.3 times as long to compile.
//   Two threads of a 2.5 GHz Xeon, 8 lanes, 64->64 64x64 N=2, three rows of taps, one and two channels: 21 and 20 from buffers (3.7
//   and 7 s to compile), 39 and 45 from textures (2 and 3.6 s); without any load in the loop 50. No gain there: 12x8 pixels of two
//   channels (1.03 times as fast, half as long again to compile), the filter in a uniform buffer (level with a sampled
//   texture), stores into a texture (0.75).
//   Of 64 channels and more conv2dWinogradSubgroup is faster.
// Dispatch: x = tiles along the row, y = batch * tiles along the column, z = blocks of LANES*VECTORS channels.
// Assigns y, pads included.
// MOMENTS: each tile's moments go into moments, batchNorm2d's partials, number y * tiles along the row + x. As a value of Params it would
//   save pipelines, but llvmpipe goes through both branches: 0.91 (16->16 128x128 N=4) to 0.96 (64->64 32x32) times as fast without moments.

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
  secondQuads: u32,
  secondAt: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
#texels 2 w vec4f
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Stored>;
@group(0) @binding(5) var<storage, read_write> moments: array<f32>;

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
  let quads = params.inputQuads + params.secondQuads;

#for g in 0..((ROWS + TAP_ROWS - 1) * (COLUMNS + 2) + LANES - 1) / LANES
  let t${g} = min(${g * LANES}u + lane, ${(ROWS + TAP_ROWS - 1) * (COLUMNS + 2) - 1}u);
  let iy${g} = i32(top + t${g} / ${COLUMNS + 2}u) - params.padTop;
  let ix${g} = i32(left + t${g} % ${COLUMNS + 2}u) - params.padLeft;
  let pixel${g} = (i32(n) * inputHeight + iy${g}) * inputWidth + ix${g};
#end
#for v in 0..VECTORS
  var start${v} = 0.0;
  if (params.hasBias != 0u) {
    start${v} = bias[first + ${v}u];
  }
#for i in 0..ROWS
#for j in 0..COLUMNS
  var a${i}_${j}_${v} = start${v};
#end
#end
#end

  for (var above = 0; above < 3; above += TAP_ROWS) {
#for g in 0..((ROWS + TAP_ROWS - 1) * (COLUMNS + 2) + LANES - 1) / LANES
    let inside${g} = iy${g} + above >= 0 && iy${g} + above < inputHeight && ix${g} >= 0 && ix${g} < inputWidth;
    let from${g} = select(0u, u32(pixel${g} + above * inputWidth) * params.inputQuads, inside${g});
#if JOINED
    let fromSecond${g} = select(0u, u32(pixel${g} + above * inputWidth) * params.secondQuads, inside${g}) + params.secondAt - params.inputQuads;
#end
#end
    for (var r4 = 0u; r4 < quads; r4++) {
#for g in 0..((ROWS + TAP_ROWS - 1) * (COLUMNS + 2) + LANES - 1) / LANES
#if JOINED
      let q${g} = select(vec4f(), loadX(select(from${g}, fromSecond${g}, r4 >= params.inputQuads) + r4), inside${g});
#else
      let q${g} = select(vec4f(), loadX(from${g} + r4), inside${g});
#end
#end
      let at = (r4 * 9u + u32(above) * 3u) * channels + first;
#for ky in 0..TAP_ROWS
#for kx in 0..3
#for v in 0..VECTORS
      let w${ky}_${kx}_${v} = loadW(at + ${ky * 3 + kx}u * channels + ${v}u);
#end
#end
#for block in 0..ROWS / BLOCK
#for c in 0..4
#for i in block * BLOCK..block * BLOCK + BLOCK
#for j in 0..COLUMNS + 2
      {
        let b = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q${((i + ky) * (COLUMNS + 2) + j) / LANES}[${c}],
          ${((i + ky) * (COLUMNS + 2) + j) % LANES}u);
#for kx in 0..3
#if j - kx >= 0 && j - kx < COLUMNS
#for v in 0..VECTORS
        a${i}_${j - kx}_${v} = fma(b, w${ky}_${kx}_${v}[${c}], a${i}_${j - kx}_${v});
#end
#end
#end
      }
#end
#end
#end
#end
#end
    }
  }

  if (o < channels) {
    let slots = channels / ${VECTORS}u;
    let to = ((n * params.outputHeight + top) * params.outputWidth + left) * slots + o / ${VECTORS}u;
#for i in 0..ROWS
    if (top + ${i}u < params.outputHeight) {
#for j in 0..COLUMNS
      if (left + ${j}u < params.outputWidth) {
#if VECTORS == 1
        y[to + (${i}u * params.outputWidth + ${j}u) * slots] = Stored(a${i}_${j}_0);
#end
#if VECTORS == 2
        y[to + (${i}u * params.outputWidth + ${j}u) * slots] = Stored(vec2f(a${i}_${j}_0, a${i}_${j}_1));
#end
#if VECTORS == 4
        y[to + (${i}u * params.outputWidth + ${j}u) * slots] = Stored(vec4f(a${i}_${j}_0, a${i}_${j}_1, a${i}_${j}_2, a${i}_${j}_3));
#end
      }
#end
    }
#end
  }

#if MOMENTS
#include tileMoments
  if (o < channels) {
    let at = ((group.y * groups.x + group.x) * params.outputQuads + o / 4u) * 12u + o % 4u;
#include storeMoments
  }
#end
}
