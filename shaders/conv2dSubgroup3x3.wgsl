enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dSubgroup3x3: convolution 3x3, stride 1, any padding, for CPU adapters (fixed subgroup size LANES).
//
//   y[n,oy,ox,o] = bias[o] + sum over ky,kx,r of x[n, oy+ky-padTop, ox+kx-padLeft, r] * w[r,ky,kx,o]
//
// x, w, bias: as in conv2dPlain; y the same memory as f32. TEXELS not 0: x and w in textures (engine/texels.ts)
// Tile: a workgroup is one subgroup and computes ROWS x COLUMNS pixels x LANES*VECTORS channels; a lane owns channels
//   LANES apart. The input tile with its border is gathered once per quad of channels, LANES pixels at a time, and
//   serves all nine taps by subgroupBroadcast. Loads are the price on a software adapter: 31 gathers feed 4608
//   multiply-adds per lane at 8x8 pixels, two vectors and 8 lanes. More accumulators than registers do not hurt; a row
//   of taps at a time keeps the blocks of code short enough for LLVM.
//   Measured, 64->64 channels, 64x64, N=2, 8x8 pixels, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz
//   Xeon, one and two vectors: 21 and 20 GFLOP/s from buffers (3.7 and 7 s to compile), 39 and 45 from textures (2 and
//   3.6 s); without any load in the loop 50. In the same race from textures 8x4 pixels of two vectors 39, 4x4 of four
//   37, 4x8 of four 43 (compiles as long as 8x8 of two), 4x4 of two 35. No gain: 12x8 pixels of two vectors (1.03
//   times as fast, half as long again to compile), row by row over all four channels, three multiply-adds on one
//   accumulator in a row, rows of LANES pixels with a loop over ky (0.85), the filter in a uniform buffer (level with a
//   sampled texture), stores of four channels at a time after a swap between lanes (1.03), or into a texture (0.75);
//   16 lanes (LP_NATIVE_VECTOR_WIDTH=512): 18 to 25 from buffers, 29 with the filter in a uniform buffer, and the upper
//   8 lanes of a texture load get zeros. Winograd F(2x2,3x3), estimated: 4 times the loads of a multiply-add and the
//   transforms' stores take more than its 2.25 times fewer multiplications give.
// Dispatch: x = tiles along the row, y = batch * tiles along the column, z = blocks of LANES*VECTORS channels.
// Assigns y, pads included.

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
@group(0) @binding(4) var<storage, read_write> y: array<Scalar>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let tilesDown = (params.outputHeight + ${ROWS - 1}u) / ${ROWS}u;
  let n = group.y / tilesDown;
  let top = group.y % tilesDown * ${ROWS}u;
  let left = group.x * ${COLUMNS}u;
  let channels = params.outputQuads * 4u;
  let o = group.z * ${LANES * VECTORS}u + lane;
#for v in 0..VECTORS
  let o${v} = min(o + ${v * LANES}u, channels - 1u);
#end
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
    start${v} = bias[o${v}];
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
    let w${ky}_${kx}_${v} = loadW(at + ${ky * 3 + kx}u * channels + o${v});
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

#for v in 0..VECTORS
  if (o + ${v * LANES}u < channels) {
    let to = ((n * params.outputHeight + top) * params.outputWidth + left) * channels + o${v};
#for i in 0..ROWS
    if (top + ${i}u < params.outputHeight) {
#for j in 0..COLUMNS
      if (left + ${j}u < params.outputWidth) {
        y[to + (${i}u * params.outputWidth + ${j}u) * channels] = Scalar(a${v}_${i}_${j});
      }
#end
    }
#end
  }
#end
}
