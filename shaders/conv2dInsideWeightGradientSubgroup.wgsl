enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dInsideWeightGradientSubgroup: filter gradient of the convolutions of conv2dInsideSubgroup, for CPU adapters (fixed
// subgroup size LANES).
//
//   As a GEMM: M = rows, N = slots, K = pixels; dw[row, slot] = sum over pixels of x[pixel, row] * dy[pixel, slot]
//   transposed = 0:  K runs over dy's pixels; a row is (r4, tap), a slot an output channel
//   transposed = 1:  K runs over x's pixels; a row is r4 (the host gives one tap), a slot (tap, output channel) of the
//                    strideY x strideX pixels of dy that belong to the pixel
//
// x      image of inputQuads Quad (vec4f or vec4h) a pixel;  dy  image of 4*outputQuads numbers a pixel, by VECTORS
//        (Stored); pads 0
// dw     filters (row, slot) of vec4 over an input quad, one for each split z, one after the other (stridedSum adds them); assigned
// Tile: a workgroup is one subgroup and computes ROWS rows (of four input channels each) x VECTORS*LANES slots; a lane owns VECTORS
//   neighbouring slots (1, 2 or 4). LANES pixels at a time: a gather per row brings a quad of each, spread by subgroupBroadcast.
//   Measured, transposed, 2x2, 64x64, N=4, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon: 16->8 12.6 GFLOP/s,
//   32->16 13.5 (conv2dWeightGradientSubgroup: 2.9 and 5.7). 8 rows: 7.1 and 14.7.
//   From textures: 16->8 12.0, 64->32 at 32x32 18.9 (conv2dWeightGradientSubgroup 4.5 and 15.4).
// TEXELS not 0: x and dy in textures (engine/texels.ts).
// Host: rows, columns, steps as in conv2dInsideSubgroup.
// Dispatch: x = blocks of VECTORS*LANES slots, y = blocks of ROWS rows, z = splits of the pixels, pixelsPerSplit each; every split
//   has at least one pixel.

struct Params {
  pixels: u32,
  rows: u32,
  columns: u32,
  inputHeight: u32,
  inputWidth: u32,
  inputQuads: u32,
  inStepY: u32,
  inStepX: u32,
  kernelHeight: u32,
  kernelWidth: u32,
  outputWidth: u32,
  outputQuads: u32,
  outStepY: u32,
  outStepX: u32,
  slots: u32,
  pixelsPerSplit: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
#texels 2 dy Stored VECTORS
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let taps = params.kernelHeight * params.kernelWidth;
  let first = group.y * ${ROWS}u;
  let slot = (group.x * ${LANES}u + lane) * ${VECTORS}u;
  if (first >= params.inputQuads * taps || group.x * ${LANES * VECTORS}u >= params.slots) {
    return;
  }
  let slotSafe = min(slot, params.slots - ${VECTORS}u);
  let channels = params.outputQuads * 4u;
  let tap = slotSafe / channels;
  let within = ((tap / params.outStepX * params.outputWidth + tap % params.outStepX) * channels + slotSafe % channels)
    / ${VECTORS}u;
#for i in 0..ROWS
  let row${i} = min(first + ${i}u, params.inputQuads * taps - 1u);
  let k${i} = row${i} % taps;
  let from${i} = (k${i} / params.kernelWidth * params.inputWidth + k${i} % params.kernelWidth) * params.inputQuads
    + row${i} / taps;
#for c in 0..4
#for v in 0..VECTORS
  var s${i}_${c}_${v} = 0.0;
#end
#end
#end

  let end = min((group.z + 1u) * params.pixelsPerSplit, params.pixels);
  for (var start = group.z * params.pixelsPerSplit; start < end; start += ${LANES}u) {
    let inside = start + lane < end;
    let p = min(start + lane, end - 1u);
    let row = p / params.columns;
    let column = p - row * params.columns;
    let n = row / params.rows;
    let at = ((n * params.inputHeight + (row - n * params.rows) * params.inStepY) * params.inputWidth
      + column * params.inStepX) * params.inputQuads;
    let to = (row * params.outStepY * params.outputWidth + column * params.outStepX) * (channels / ${VECTORS}u);
#for i in 0..ROWS
    let q${i} = select(vec4f(), loadX(at + from${i}), inside);
#end
#for l in 0..LANES
    {
      let d = loadDy(${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(to, ${l}u) + within);
#for i in 0..ROWS
#for c in 0..4
      {
        let b = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q${i}[${c}], ${l}u);
#for v in 0..VECTORS
#if VECTORS == 1
        s${i}_${c}_0 = fma(b, d, s${i}_${c}_0);
#else
        s${i}_${c}_${v} = fma(b, d[${v}], s${i}_${c}_${v});
#end
#end
      }
#end
#end
    }
#end
  }

  if (slot < params.slots) {
    let part = group.z * params.inputQuads * taps;
#for i in 0..ROWS
    if (first + ${i}u < params.inputQuads * taps) {
#for v in 0..VECTORS
      dw[(part + row${i}) * params.slots + slot + ${v}u] = vec4f(s${i}_0_${v}, s${i}_1_${v}, s${i}_2_${v}, s${i}_3_${v});
#end
    }
#end
  }
}
