enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dWeightGradientTexels3x3: filter gradient of a 3x3 stride-1 convolution, for CPU adapters (fixed subgroup size
// LANES) with texture loads.
//
//   dw[r,ky,kx,o] = sum over n,oy,ox of x[n, oy+ky-padTop, ox+kx-padLeft, r] * dy[n,oy,ox,o]
//
// x   image (n, h, w, quads) of vec4 over channels, pad channels 0, in a texture (engine/texels.ts)
// dy  image of the output's size, likewise
// dw  filters (r4, tap, o) of vec4 over r, one for each split z, one after the other (stridedSum adds them); assigned
// Tile: a workgroup is one subgroup of PARTS parts and computes 9 taps x 4*PARTS input channels x 4*LANES/PARTS output
//   channels; each part has a quad of input channels, each lane of it a quad of output channels, 144 sums a lane. It
//   walks down columns of the image COLUMNS output pixels wide: a gather per row brings LANES/PARTS input pixels of each
//   part's quad, that serve three rows of taps as they move up (rows 0, 1, 2), and a gather per output pixel all of
//   dy's channels. The shuffle's lane is known when the shader is compiled, which makes it one instruction.
//   Measured, 64->64 channels, 64x64, N=2, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon: 38
//   GFLOP/s where conv2dWeightGradientSubgroup3x3 has 23. One part: 37, 35, 38 with 4, 6, 8 columns, and half of the
//   work is wasted on 16 channels; two parts: 28, 38, 36, 36 with 2, 4, 6, 8; two rows at a time 0.85 of one.
// Dispatch: x = blocks of output channels, y = blocks of PARTS quads, z = splits of the batch *
//   ceil(width/COLUMNS) columns, columnsPerSplit each; every split has at least one column.

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
  columnsPerSplit: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
#texels 2 dy Quad
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let pixel = lane % ${LANES / PARTS}u;
  let part = lane - pixel;
  let r4 = group.y * ${PARTS}u + lane / ${LANES / PARTS}u;
  let o4 = group.x * ${LANES / PARTS}u + pixel;
  let quad = min(r4, params.inputQuads - 1u);
  let o4Safe = min(o4, params.outputQuads - 1u);
  let strips = (params.outputWidth + ${COLUMNS - 1}u) / ${COLUMNS}u;
  let columns = params.batch * strips;
  let height = i32(params.inputHeight);
  let width = i32(params.inputWidth);
#for t in 0..9
#for r in 0..4
#for v in 0..4
  var s${t}_${r}_${v} = 0.0;
#end
#end
#end

  let end = min((group.z + 1u) * params.columnsPerSplit, columns);
  for (var column = group.z * params.columnsPerSplit; column < end; column++) {
    let n = column / strips;
    let left = column % strips * ${COLUMNS}u;
    let ix = i32(left + pixel) - params.padLeft;
#for g in 0..(COLUMNS + 1) / (LANES / PARTS) + 1
    let inside${g} = ix >= ${-g * LANES / PARTS} && ix < width - ${g * LANES / PARTS};
    let shift${g} = ${g * LANES / PARTS} * i32(params.inputQuads);
#end
    let rowStep = width * i32(params.inputQuads);
    var at = (i32(n) * height * width + ix) * i32(params.inputQuads) - params.padTop * rowStep + i32(quad);
    var dyAt = (n * params.outputHeight * params.outputWidth + left) * params.outputQuads + o4Safe;
    var iy = -params.padTop;
#for k in 0..2
#for g in 0..(COLUMNS + 1) / (LANES / PARTS) + 1
    var x${k}_${g} = select(vec4f(), loadX(u32(at + shift${g})), inside${g} && iy >= 0 && iy < height);
#end
    iy++;
    at += rowStep;
#end
    for (var oy = 0u; oy < params.outputHeight; oy++) {
#for g in 0..(COLUMNS + 1) / (LANES / PARTS) + 1
      let x2_${g} = select(vec4f(), loadX(u32(at + shift${g})), inside${g} && iy >= 0 && iy < height);
#end
#for j in 0..COLUMNS
      let d${j} = select(vec4f(), loadDy(dyAt + ${j}u * params.outputQuads),
        left + ${j}u < params.outputWidth);
#end
#for ky in 0..3
#for r in 0..4
      {
#for p in 0..COLUMNS + 2
#if PARTS == 1
        let b${p} = subgroupBroadcast(x${ky}_${p / LANES}[${r}], ${p % LANES}u);
#else
        let b${p} = subgroupShuffle(x${ky}_${p / (LANES / PARTS)}[${r}], part + ${p % (LANES / PARTS)}u);
#end
#end
#for kx in 0..3
#for v in 0..4
#for j in 0..COLUMNS
        s${ky * 3 + kx}_${r}_${v} = fma(b${j + kx}, d${j}[${v}], s${ky * 3 + kx}_${r}_${v});
#end
#end
#end
      }
#end
#end
#for g in 0..(COLUMNS + 1) / (LANES / PARTS) + 1
      x0_${g} = x1_${g};
      x1_${g} = x2_${g};
#end
      iy++;
      at += rowStep;
      dyAt += params.outputWidth * params.outputQuads;
    }
  }

  if (o4 < params.outputQuads && r4 < params.inputQuads) {
    let channels = params.outputQuads * 4u;
    let to = (group.z * params.inputQuads + r4) * 9u * channels + o4 * 4u;
#for t in 0..9
#for v in 0..4
    dw[to + ${t}u * channels + ${v}u] = vec4f(s${t}_0_${v}, s${t}_1_${v}, s${t}_2_${v}, s${t}_3_${v});
#end
#end
  }
}
