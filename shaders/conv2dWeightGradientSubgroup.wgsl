enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dWeightGradientSubgroup: filter gradient of any convolution or transposed convolution, for CPU adapters (fixed
// subgroup size LANES).
//
//   As a GEMM: M = (tap, input channel), N = output channel, K = batch * height * width pixels; sums as in
//   conv2dWeightGradientPlain.
//
// a, b  images (n, h, w, quads) of Quad (vec4f or vec4h) over channels, pad channels 0; TEXELS not 0: in textures
//       (engine/texels.ts), of f32 then
// dw    filters (r4, tap, o) of vec4 over r, one for each split z, one after the other (stridedSum adds them); assigned
// Tile: a workgroup is one subgroup and computes ROWS rows (quad-wise: row = tap*rowsPerTap + r4) x 4*LANES output
//   channels; a lane owns four neighbouring channels. LANES pixels at a time: a gather per row brings a quad of each,
//   spread by subgroupBroadcast.
//   Measured, 3x3 stride 2, 64->128 channels, 32x32, N=2, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz
//   Xeon: 2, 4, 8, 12 rows give 10, 11, 11.5, 11 GFLOP/s and take 0.7, 1.5, 3, 6 s to compile. From textures it is
//   2.5 times as fast, and more than 4 rows lose (6: 0.92, 8: 0.8).
// Host: rowsPerTap = aQuads, or where bTap = 1 its next multiple of ROWS (the rows of a tile then share a tap).
// Dispatch: x = blocks of 4*LANES output channels, y = blocks of ROWS rows, z = splits of the pixels, pixelsPerSplit (a
//   multiple of LANES) each; every split has at least one pixel.

struct Params {
#include weightGradientParams
  rowsPerTap: u32,
  pixelsPerSplit: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 a Quad
#texels 2 b Quad
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let o4 = group.x * ${LANES}u + lane;
  let o4Safe = min(o4, params.bQuads - 1u);
  let taps = params.kernelHeight * params.kernelWidth;
  let first = group.y * ${ROWS}u;
  if (group.x * ${LANES}u >= params.bQuads || first >= params.rowsPerTap * taps) {
    return;
  }
  let aSize = vec2i(vec2u(params.aHeight, params.aWidth));
  let bSize = vec2i(vec2u(params.bHeight, params.bWidth));
  let firstTap = first / params.rowsPerTap;
  let bShift = vec2i(vec2u(firstTap / params.kernelWidth, firstTap % params.kernelWidth) * params.bTap)
    - vec2i(params.bPadTop, params.bPadLeft);
#for i in 0..ROWS
  let tap${i} = min((first + ${i}u) / params.rowsPerTap, taps - 1u);
  let quad${i} = min((first + ${i}u) % params.rowsPerTap, params.aQuads - 1u);
  let shift${i} = vec2i(vec2u(tap${i} / params.kernelWidth, tap${i} % params.kernelWidth) * params.aTap)
    - vec2i(params.aPadTop, params.aPadLeft);
#end
#for i in 0..ROWS
#for c in 0..4
#for v in 0..4
  var s${i}_${c}_${v} = 0.0;
#end
#end
#end

  let pixels = params.batch * params.height * params.width;
  let end = min((group.z + 1u) * params.pixelsPerSplit, pixels);
  for (var start = group.z * params.pixelsPerSplit; start < end; start += ${LANES}u) {
    let p = min(start + lane, end - 1u);
    let grid = vec2u(p / params.width % params.height, p % params.width);
    let n = i32(p / params.width / params.height);
    let ib = vec2i(grid * vec2u(params.bStrideY, params.bStrideX)) + bShift;
    let insideB = start + lane < end && all(ib >= vec2i()) && all(ib < bSize);
    let fromB = select(0, ((n * bSize.x + ib.x) * bSize.y + ib.y) * i32(params.bQuads), insideB);
    let ia = vec2i(grid * vec2u(params.aStrideY, params.aStrideX));
#for i in 0..ROWS
    let ia${i} = ia + shift${i};
    let inside${i} = insideB && all(ia${i} >= vec2i()) && all(ia${i} < aSize);
    let at${i} = u32((n * aSize.x + ia${i}.x) * aSize.y + ia${i}.y) * params.aQuads + quad${i};
    let q${i} = select(vec4f(), loadA(select(0u, at${i}, inside${i})), inside${i});
#end
    let weight = select(0u, 1u, insideB);
#for l in 0..LANES
    {
      let d = select(vec4f(), loadB(u32(${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(fromB, ${l}u)) + o4Safe), ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(weight, ${l}u) != 0u);
#for i in 0..ROWS
#for c in 0..4
      {
        let v = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q${i}[${c}], ${l}u);
#for v in 0..4
        s${i}_${c}_${v} = fma(v, d[${v}], s${i}_${c}_${v});
#end
      }
#end
#end
    }
#end
  }

  if (o4 < params.bQuads) {
    let channels = params.bQuads * 4u;
    let to = group.z * params.aQuads * taps * channels + o4 * 4u;
#for i in 0..ROWS
    if ((first + ${i}u) / params.rowsPerTap < taps && (first + ${i}u) % params.rowsPerTap < params.aQuads) {
#for v in 0..4
      dw[to + (quad${i} * taps + tap${i}) * channels + ${v}u] =
        vec4f(s${i}_0_${v}, s${i}_1_${v}, s${i}_2_${v}, s${i}_3_${v});
#end
    }
#end
  }
}
