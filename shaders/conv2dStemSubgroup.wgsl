enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dStemSubgroup: convolution of INPUTS <= 4 channels, any kernel, stride and padding, for CPU adapters (fixed subgroup size
// LANES).
//
//   y[n,oy,ox,o] = bias[o] + sum over ky,kx,c of x[n, oy*strideY+ky-padTop, ox*STRIDE+kx-padLeft, c] * w[ky,kx,o][c]
//
// x     image of one Quad (vec4f or vec4h) a pixel, pad channels 0;  y  image of 4*outputQuads numbers a pixel, by VECTORS:
//       Stored
// w     filter (tap, o) of vec4 over c, tap = ky*KERNEL_WIDTH + kx, o up to 4*outputQuads, pads 0
// bias  4*outputQuads numbers, by VECTORS; not read when hasBias = 0
// Tile: a workgroup is one subgroup and computes ROWS x COLUMNS pixels x VECTORS*LANES channels; a lane owns VECTORS neighbouring
//   channels (1, 2 or 4). For each row of taps the rows of x below are gathered, LANES pixels at a time, and serve all taps of
//   the row, and all channels of the lane, by subgroupBroadcast. There is one quad of channels only, so tiles of input are not
//   walked through: taps are, the way the general form walks through channels.
//   Measured, 3->16, N=4, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon, 7x7 stride 2 to 64x64 and 3x3 at
//   128x128: 17.5 and 12.9 GFLOP/s with 4x8 pixels (conv2dSubgroup 4.4, conv2dSubgroup3x3 7.7). 8x8 pixels: 16.7 and 14.0, and more
//   than twice as long to compile; 8x4: 14.4 and 13.0; 4x4: 10.1 and 10.5; 8x8 and one channel a lane: 12.5 and 10.5.
//   From textures: 26 and 15.
// TEXELS not 0: x and w in textures (engine/texels.ts).
// Dispatch: x = tiles along the row, y = batch * tiles along the column, z = blocks of VECTORS*LANES channels.
// Assigns y, pads included.
// MOMENTS: each tile's moments go into moments, batchNorm2d's partials, number y * tiles along the row + x.

struct Params {
  batch: u32,
  inputHeight: u32,
  inputWidth: u32,
  outputHeight: u32,
  outputWidth: u32,
  outputQuads: u32,
  kernelHeight: u32,
  strideY: u32,
  padTop: i32,
  padLeft: i32,
  hasBias: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
#texels 2 w vec4f
@group(0) @binding(3) var<storage, read> bias: array<Slots>;
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
  let o = (group.z * ${LANES}u + lane) * ${VECTORS}u;
  let oSafe = min(o, channels - ${VECTORS}u);
  if (n >= params.batch || left >= params.outputWidth || group.z * ${LANES * VECTORS}u >= channels) {
    return;
  }
  let inputHeight = i32(params.inputHeight);
  let inputWidth = i32(params.inputWidth);

#for g in 0..(ROWS * SPAN + LANES - 1) / LANES
  let t${g} = min(${g * LANES}u + lane, ${ROWS * SPAN - 1}u);
  let iy${g} = i32((top + t${g} / ${SPAN}u) * params.strideY) - params.padTop;
  let ix${g} = i32(left * ${STRIDE}u + t${g} % ${SPAN}u) - params.padLeft;
  let inside${g} = ix${g} >= 0 && ix${g} < inputWidth;
  let from${g} = (i32(n) * inputHeight + iy${g}) * inputWidth + ix${g};
#end
  var start = Slots();
  if (params.hasBias != 0u) {
    start = bias[oSafe / ${VECTORS}u];
  }
#for i in 0..ROWS
#for j in 0..COLUMNS
#for v in 0..VECTORS
#if VECTORS == 1
  var a${i}_${j}_0 = start;
#else
  var a${i}_${j}_${v} = start[${v}];
#end
#end
#end
#end

  for (var ky = 0; ky < i32(params.kernelHeight); ky++) {
#for g in 0..(ROWS * SPAN + LANES - 1) / LANES
    let some${g} = inside${g} && iy${g} + ky >= 0 && iy${g} + ky < inputHeight;
    let q${g} = select(vec4f(), loadX(u32(select(0, from${g} + ky * inputWidth, some${g}))), some${g});
#end
    let at = u32(ky) * ${KERNEL_WIDTH}u * channels + oSafe;
#for kx in 0..KERNEL_WIDTH
#for v in 0..VECTORS
    let w${kx}_${v} = loadW(at + ${kx}u * channels + ${v}u);
#end
#end
#for c in 0..INPUTS
#for i in 0..ROWS
#for j in 0..SPAN
    {
      let b = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q${(i * SPAN + j) / LANES}[${c}], ${(i * SPAN + j) % LANES}u);
#for kx in 0..KERNEL_WIDTH
#if j >= kx && (j - kx) % STRIDE == 0 && (j - kx) / STRIDE < COLUMNS
#for v in 0..VECTORS
      a${i}_${(j - kx) / STRIDE}_${v} = fma(b, w${kx}_${v}[${c}], a${i}_${(j - kx) / STRIDE}_${v});
#end
#end
#end
    }
#end
#end
#end
  }

  if (o < channels) {
    let to = ((n * params.outputHeight + top) * params.outputWidth + left) * channels + o;
#for i in 0..ROWS
    if (top + ${i}u < params.outputHeight) {
#for j in 0..COLUMNS
      if (left + ${j}u < params.outputWidth) {
        let at = (to + (${i}u * params.outputWidth + ${j}u) * channels) / ${VECTORS}u;
#if VECTORS == 1
        y[at] = Stored(a${i}_${j}_0);
#end
#if VECTORS == 2
        y[at] = Stored(vec2f(a${i}_${j}_0, a${i}_${j}_1));
#end
#if VECTORS == 4
        y[at] = Stored(vec4f(a${i}_${j}_0, a${i}_${j}_1, a${i}_${j}_2, a${i}_${j}_3));
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
