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
// Tile: a workgroup is one subgroup and computes 9 taps x 4*QUADS input channels x VECTOR*LANES output channels, VECTOR
//   neighbouring ones a lane: 36*QUADS*VECTOR sums. It walks down columns of the image COLUMNS output pixels wide: a gather per row
//   brings LANES/QUADS input pixels of each quad, that serve three rows of taps as they move up (rows 0, 1, 2), and a gather per
//   output pixel all of dy's channels.
//   Measured on llvmpipe (Mesa 25.0.7, LLVM 15), two cores of a 2.6 GHz Zen 4, 64->64 64x64 N=2, QUADS VECTOR COLUMNS, GFLOP/s:
//              1 4 4   1 4 6   1 4 8   1 4 14   2 2 6   1 2 6   2 4 6 (5.6 s to compile)
//     8 lanes  87      80      84      67       78      70      69       (1 4 4 by shuffles instead of broadcasts: 91)
//     16       65      67      78      63       65      59      65
//   Two rows at a time 0.85 of one (Xeon, 8 lanes); conv2dWeightGradientSubgroup3x3 had 23 where this had 38.
// Dispatch: x = blocks of output channels, y = blocks of QUADS quads, z = splits of the batch *
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
#texels 2 dy Stored VECTOR
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let pixel = lane % ${LANES / QUADS}u;
  let quad = min(group.y * ${QUADS}u + lane / ${LANES / QUADS}u, params.inputQuads - 1u);
  let slots = params.outputQuads * ${4 / VECTOR}u;
  let slot = group.x * LANES + lane;
  let slotSafe = min(slot, slots - 1u);
  let strips = (params.outputWidth + ${COLUMNS - 1}u) / ${COLUMNS}u;
  let columns = params.batch * strips;
  let height = i32(params.inputHeight);
  let width = i32(params.inputWidth);
#for q in 0..QUADS
#for t in 0..9
#for r in 0..4
#for v in 0..VECTOR
  var s${q}_${t}_${r}_${v} = 0.0;
#end
#end
#end
#end

  let end = min((group.z + 1u) * params.columnsPerSplit, columns);
  for (var column = group.z * params.columnsPerSplit; column < end; column++) {
    let n = column / strips;
    let left = column % strips * ${COLUMNS}u;
    let ix = i32(left + pixel) - params.padLeft;
#for g in 0..(COLUMNS + 1) / (LANES / QUADS) + 1
    let inside${g} = ix >= ${-g * LANES / QUADS} && ix < width - ${g * LANES / QUADS};
    let shift${g} = ${g * LANES / QUADS} * i32(params.inputQuads);
#end
    let rowStep = width * i32(params.inputQuads);
    var at = (i32(n) * height * width + ix) * i32(params.inputQuads) - params.padTop * rowStep + i32(quad);
    var dyAt = (n * params.outputHeight * params.outputWidth + left) * slots + slotSafe;
    var iy = -params.padTop;
#for k in 0..2
#for g in 0..(COLUMNS + 1) / (LANES / QUADS) + 1
    var x${k}_${g} = select(vec4f(), loadX(u32(at + shift${g})), inside${g} && iy >= 0 && iy < height);
#end
    iy++;
    at += rowStep;
#end
    for (var oy = 0u; oy < params.outputHeight; oy++) {
#for g in 0..(COLUMNS + 1) / (LANES / QUADS) + 1
      let x2_${g} = select(vec4f(), loadX(u32(at + shift${g})), inside${g} && iy >= 0 && iy < height);
#end
#for j in 0..COLUMNS
      let d${j} = select(Slots(), loadDy(dyAt + ${j}u * slots), left + ${j}u < params.outputWidth);
#end
#for ky in 0..3
#for q in 0..QUADS
#for r in 0..4
      {
#for p in 0..COLUMNS + 2
        let b${p} = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(x${ky}_${p / (LANES / QUADS)}[${r}], ${q * (LANES / QUADS) + p % (LANES / QUADS)}u);
#end
#for kx in 0..3
#for v in 0..VECTOR
#for j in 0..COLUMNS
#if VECTOR == 1
        s${q}_${ky * 3 + kx}_${r}_0 = fma(b${j + kx}, d${j}, s${q}_${ky * 3 + kx}_${r}_0);
#else
        s${q}_${ky * 3 + kx}_${r}_${v} = fma(b${j + kx}, d${j}[${v}], s${q}_${ky * 3 + kx}_${r}_${v});
#end
#end
#end
#end
      }
#end
#end
#end
#for g in 0..(COLUMNS + 1) / (LANES / QUADS) + 1
      x0_${g} = x1_${g};
      x1_${g} = x2_${g};
#end
      iy++;
      at += rowStep;
      dyAt += params.outputWidth * slots;
    }
  }

#for q in 0..QUADS
  if (slot < slots && group.y * ${QUADS}u + ${q}u < params.inputQuads) {
    let channels = params.outputQuads * 4u;
    let to = (group.z * params.inputQuads + group.y * ${QUADS}u + ${q}u) * 9u * channels + slot * ${VECTOR}u;
#for t in 0..9
#for v in 0..VECTOR
    dw[to + ${t}u * channels + ${v}u] = vec4f(s${q}_${t}_0_${v}, s${q}_${t}_1_${v}, s${q}_${t}_2_${v}, s${q}_${t}_3_${v});
#end
#end
  }
#end
}
