enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dInsideSubgroup: convolution without padding whose kernel is at most its stride, and transposed convolution whose
// kernel is its stride, for CPU adapters (fixed subgroup size LANES). No tap falls outside the input, so nothing is compared
// inside the loops.
//
//   As a GEMM: M = pixels, N = slots, K = taps * input channels.
//   transposed = 0:  M runs over the output's pixels; a slot is an output channel
//   transposed = 1:  M runs over the input's pixels, K is the input's channels alone (the host gives one tap), and a slot is
//                    (tap, output channel): each input pixel makes a patch of strideY x strideX output pixels of its own
//
// x, y   images (n, h, w, quads) of Quad (vec4f or vec4h) over channels, pad channels 0; y the same memory by VECTORS:
//        Stored
// w      filter (r4, tap, o) of vec4 over r: quad r4 has slots `rowSlots` apart by tap, and slots in their order
// bias   4*outputQuads numbers, by VECTORS; not read when hasBias = 0
// Tile: a workgroup is one subgroup and computes PIXELS pixels x VECTORS*LANES slots; a lane owns VECTORS neighbouring slots (1, 2
//   or 4: the widest that leaves no lane idle). Lanes load the quads of LANES different pixels, subgroupBroadcast spreads them.
//   Measured, transposed, 2x2, 64x64, N=4, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon: 16->8 9.3 GFLOP/s,
//   32->16 13.3 (conv2dSubgroup, phase by phase: 2.3 and 6.0). Of the ceiling, 16->8: 16, 32, 64 pixels reach 0.37, 0.53, 0.23.
//   From textures: 16->8 9.8, 64->32 at 32x32 17 (conv2dSubgroup 4.4 and 13.5; as the gradient of 64->32's input it is faster: 20
//   against 17.6).
//   Two cores of a Zen 4, from textures, 2x2, N=4, 256->128 8x8, 64->32 32x32, 32->16 64x64: 16 lanes 60, 45, 36 GFLOP/s with
//   16 pixels and 30, 24, 18 with 32; 8 lanes 35, 23, 18 with 16 and 48, 40, 30 with 32. Half the slots a lane: 48, 36, 28.
// TEXELS not 0: x and w in textures (engine/texels.ts).
// Host: rows, columns are those of M's image; an M pixel begins at input pixel (row*inStepY, column*inStepX).
// Dispatch: x*y >= tiles of PIXELS, z = blocks of VECTORS*LANES slots. Assigns y, pads included.
// MOMENTS: each tile's moments go into moments, batchNorm2d's partials, number x (not transposed, y = 1).

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
  let start = (group.y * groups.x + group.x) * ${PIXELS}u;
  let slot = (group.z * ${LANES}u + lane) * ${VECTORS}u;
  if (start >= params.pixels || group.z * ${LANES * VECTORS}u >= params.slots) {
    return;
  }
  let slotSafe = min(slot, params.slots - ${VECTORS}u);
  let channels = params.outputQuads * 4u;
  let patchTap = slotSafe / channels;
  let channel = slotSafe % channels;
  // M's image lies in y row by row, outStepY rows and outStepX columns apart; the images follow one another.
  let within = (patchTap / params.outStepX * params.outputWidth + patchTap % params.outStepX) * channels + channel;
#for g in 0..PIXELS / LANES
  let p${g} = min(start + ${g * LANES}u + lane, params.pixels - 1u);
  let row${g} = p${g} / params.columns;
  let column${g} = p${g} - row${g} * params.columns;
  let n${g} = row${g} / params.rows;
  let in${g} = ((n${g} * params.inputHeight + (row${g} - n${g} * params.rows) * params.inStepY) * params.inputWidth
    + column${g} * params.inStepX) * params.inputQuads;
  let to${g} = (row${g} * params.outStepY * params.outputWidth + column${g} * params.outStepX) * channels;
#end
  var first = Slots();
  if (params.hasBias != 0u) {
    first = bias[channel / ${VECTORS}u];
  }
#for p in 0..PIXELS
#for v in 0..VECTORS
#if VECTORS == 1
  var a${p}_0 = first;
#else
  var a${p}_${v} = first[${v}];
#end
#end
#end

  for (var ky = 0u; ky < params.kernelHeight; ky++) {
    for (var kx = 0u; kx < params.kernelWidth; kx++) {
      let tap = (ky * params.inputWidth + kx) * params.inputQuads;
      var at = (ky * params.kernelWidth + kx) * params.slots + slotSafe;
      for (var r4 = 0u; r4 < params.inputQuads; r4++) {
#for v in 0..VECTORS
        let w${v} = loadW(at + ${v}u);
#end
#for g in 0..PIXELS / LANES
        {
          let q = loadX(in${g} + tap + r4);
#for l in 0..LANES
          {
#for j in 0..4
            let b${j} = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q[${j}], ${l}u);
#end
#for v in 0..VECTORS
            a${g * LANES + l}_${v} = fma(b3, w${v}[3], fma(b2, w${v}[2],
              fma(b1, w${v}[1], fma(b0, w${v}[0], a${g * LANES + l}_${v}))));
#end
          }
#end
        }
#end
        at += params.kernelHeight * params.kernelWidth * params.slots;
      }
    }
  }

  let remaining = params.pixels - start;
  if (slot < params.slots) {
#for p in 0..PIXELS
    if (${p} < remaining) {
      let at = (${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(to${p / LANES}, ${p % LANES}u) + within) / ${VECTORS}u;
#if VECTORS == 1
      y[at] = Stored(a${p}_0);
#end
#if VECTORS == 2
      y[at] = Stored(vec2f(a${p}_0, a${p}_1));
#end
#if VECTORS == 4
      y[at] = Stored(vec4f(a${p}_0, a${p}_1, a${p}_2, a${p}_3));
#end
    }
#end
  }

#if MOMENTS
#include pixelMoments
  if (slot < params.slots) {
    let at = (group.x * params.outputQuads + slot / 4u) * 12u + slot % 4u;
#include storeMoments
  }
#end
}
