enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dWeightGradientSubgroup3x3: filter gradient of a 3x3 stride-1 convolution, for CPU adapters (fixed subgroup size
// LANES).
//
//   dw[r,ky,kx,o] = sum over n,oy,ox of x[n, oy+ky-padTop, ox+kx-padLeft, r] * dy[n,oy,ox,o]
//
// x   image (n, h, w, quads) of Quad (vec4f or vec4h) over channels, pad channels 0
// dy  image of the output's size, the same memory as f32
// dw  filters (r4, tap, o) of vec4 over r, one for each split z, one after the other (stridedSum adds them); assigned
// Tile: a workgroup is one subgroup and computes 9 taps x 4*QUADS input channels x LANES output channels; a lane owns
//   one output channel. It walks down columns of the image LANES-2 output pixels wide: one gather per row and quad
//   brings LANES input pixels, that serve three rows of taps as they move up (rows 0, 1, 2), by subgroupBroadcast.
//   Measured, 64->64 channels, 64x64, N=2, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon: 1, 2, 4
//   quads give 21, 26, 26 GFLOP/s and take 0.6, 1.1, 2.6 s to compile.
// Dispatch: x = blocks of LANES output channels, y = blocks of QUADS quads, z = splits of the batch *
//   ceil(width/(LANES-2)) columns, columnsPerSplit each; every split has at least one column.

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
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let channels = params.outputQuads * 4u;
  let o = group.x * ${LANES}u + lane;
  let oSafe = min(o, channels - 1u);
  let r4 = group.y * ${QUADS}u;
  let strips = (params.outputWidth + ${LANES - 3}u) / ${LANES - 2}u;
  let columns = params.batch * strips;
  let height = i32(params.inputHeight);
  let width = i32(params.inputWidth);
  if (group.x * ${LANES}u >= channels || r4 >= params.inputQuads) {
    return;
  }
#for q in 0..QUADS
  let quad${q} = min(r4 + ${q}u, params.inputQuads - 1u);
#end
#for t in 0..9
#for r in 0..4 * QUADS
  var s${t}_${r} = 0.0;
#end
#end

  let end = min((group.z + 1u) * params.columnsPerSplit, columns);
  for (var column = group.z * params.columnsPerSplit; column < end; column++) {
    let n = column / strips;
    let left = column % strips * ${LANES - 2}u;
    let ix = i32(left + lane) - params.padLeft;
    let insideRow = ix >= 0 && ix < width;
    let base = (i32(n) * height * width + ix) * i32(params.inputQuads);
    let rowStep = width * i32(params.inputQuads);
    var iy = -params.padTop;
    var inside = insideRow && iy >= 0 && iy < height;
    var at = u32(select(0, base + iy * rowStep, inside));
#for q in 0..QUADS
    var x0_${q} = select(vec4f(), vec4f(x[at + quad${q}]), inside);
#end
    iy++;
    inside = insideRow && iy >= 0 && iy < height;
    at = u32(select(0, base + iy * rowStep, inside));
#for q in 0..QUADS
    var x1_${q} = select(vec4f(), vec4f(x[at + quad${q}]), inside);
#end
    for (var oy = 0u; oy < params.outputHeight; oy++) {
      iy++;
      inside = insideRow && iy >= 0 && iy < height;
      at = u32(select(0, base + iy * rowStep, inside));
#for q in 0..QUADS
      let x2_${q} = select(vec4f(), vec4f(x[at + quad${q}]), inside);
#end
      let dyAt = ((n * params.outputHeight + oy) * params.outputWidth + left) * channels + oSafe;
#for j in 0..LANES - 2
      let inside${j} = left + ${j}u < params.outputWidth;
      let d${j} = select(0.0, f32(dy[select(0u, dyAt + ${j}u * channels, inside${j})]), inside${j});
#end
#for ky in 0..3
#for r in 0..4 * QUADS
      {
#for l in 0..LANES
        let b${l} = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(x${ky}_${r / 4}[${r % 4}], ${l}u);
#end
#for kx in 0..3
#for j in 0..LANES - 2
        s${ky * 3 + kx}_${r} = fma(b${j + kx}, d${j}, s${ky * 3 + kx}_${r});
#end
#end
      }
#end
#end
#for q in 0..QUADS
      x0_${q} = x1_${q};
      x1_${q} = x2_${q};
#end
    }
  }

  if (o < channels) {
    let to = (group.z * params.inputQuads + r4) * 9u * channels + o;
#for q in 0..QUADS
    if (r4 + ${q}u < params.inputQuads) {
#for t in 0..9
      dw[to + ${q * 9 + t}u * channels] =
        vec4f(s${t}_${q * 4}, s${t}_${q * 4 + 1}, s${t}_${q * 4 + 2}, s${t}_${q * 4 + 3});
#end
    }
#end
  }
}
