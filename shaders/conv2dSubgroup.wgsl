enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dSubgroup: convolution and transposed convolution for CPU adapters (fixed subgroup size LANES), any kernel and
// stride.
//
//   As a GEMM: M = output pixels (flattened), N = output channels, K = taps * input channels; sums as in conv2dPlain.
//   transposed = 1 is done in strideY*strideX phases, the output pixels of one residue (oy % strideY, ox % strideX):
//   all of them use the same taps, and phase and tap give the input pixel without division.
//
// x, w, bias: as in conv2dPlain; y the same memory, by VECTORS numbers. TEXELS not 0: x and w in textures (engine/texels.ts)
//   JOINED: x is two maps, as in conv2dSubgroup3x3.
// Tile: a workgroup is one subgroup and computes PIXELS pixels x LANES*VECTORS channels; a lane owns VECTORS
//   neighbouring channels, which it stores at once.
//   On a software adapter a load costs as much as dozens of multiply-adds, one gather per lane: so the lanes load the quads of
//   LANES different pixels, and these are spread to all of them, by shuffles at 8 lanes, as in conv2dSubgroup3x3.
//   Measured on llvmpipe (Mesa 25.0.7, LLVM 15), two cores of a 2.6 GHz Zen 4, 3x3 128->128 16x16 N=4, GFLOP/s:
//     pixels, channels of a lane   32 2    16 4   32 4      from buffers, 64->64 32x32   32 1   32 2   16 4   32 4
//     16 lanes                     70      74     85                                     35     49     46     55
//     8 lanes                      60      63     73                                     31     45     48     36
//   Each gather right before its products: 58, 73, 71 at 16 lanes and 53, 60, 63 at 8.
//   Two threads of a 2.5 GHz Xeon, 8 lanes, 3x3 stride 2, 64->128 32x32 N=2: 8, 16, 32, 64 pixels of one channel give 14, 19, 19,
//   16 and take 0.5, 0.9, 2, 6 s to compile; larger bodies leave the instruction cache.
// Dispatch: x*y >= tiles of the largest phase, z = phases * blocks of LANES*VECTORS
//   channels. Assigns y, pads included.
// MOMENTS: each tile's moments go into moments, batchNorm2d's partials, number x (not transposed, y = 1).

struct Params {
#include convolutionParams
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
  let channels = params.outputQuads * 4u;
  let blocks = (channels + ${LANES * VECTORS - 1}u) / ${LANES * VECTORS}u;
#include phase
  let start = i32(group.y * groups.x + group.x) * ${PIXELS};
  if (start >= pixels) {
    return;
  }
  // channels are whole vectors of a lane's
  let o = (group.z % blocks) * ${LANES * VECTORS}u + lane * ${VECTORS}u;
  let first = min(o, channels - ${VECTORS}u);

  // Lane l prepares pixels start + l, start + LANES + l, ...
#for g in 0..PIXELS / LANES
  let p${g} = min(start + ${g * LANES} + i32(lane), pixels - 1);
  let mx${g} = p${g} % size.y;
  let my${g} = p${g} / size.y % size.x;
  let n${g} = p${g} / size.y / size.x;
  let iy${g} = my${g} * inStep.x + offset.x;
  let ix${g} = mx${g} * inStep.y + offset.y;
  let oy${g} = my${g} * outStep.x + phase.x;
  let ox${g} = mx${g} * outStep.y + phase.y;
  let to${g} = u32((n${g} * i32(params.outputHeight) + oy${g}) * i32(params.outputWidth) + ox${g}) * channels;
#end
#for v in 0..VECTORS
  var start${v} = 0.0;
  if (params.hasBias != 0u) {
    start${v} = bias[first + ${v}u];
  }
#for p in 0..PIXELS
  var a${p}_${v} = start${v};
#end
#end

  let inputHeight = i32(params.inputHeight);
  let inputWidth = i32(params.inputWidth);
  let quads = params.inputQuads + params.secondQuads;
  let filterRow = params.kernelHeight * params.kernelWidth * channels;
  for (var a = 0; a < taps.x; a++) {
    for (var b = 0; b < taps.y; b++) {
#for g in 0..PIXELS / LANES
      let y${g} = iy${g} + a * tapStep;
      let x${g} = ix${g} + b * tapStep;
      let inside${g} = y${g} >= 0 && y${g} < inputHeight && x${g} >= 0 && x${g} < inputWidth;
      let pixel${g} = u32(select(0, (n${g} * inputHeight + y${g}) * inputWidth + x${g}, inside${g}));
      let from${g} = pixel${g} * params.inputQuads;
#if JOINED
      let fromSecond${g} = pixel${g} * params.secondQuads + params.secondAt - params.inputQuads;
#end
#end
      let tap = u32((firstTap.x + a * filterStep.x) * kernel.y + firstTap.y + b * filterStep.y);
      var at = tap * channels;
      for (var r4 = 0u; r4 < quads; r4++) {
#for v in 0..VECTORS
        let w${v} = loadW(at + first + ${v}u);
#end
#for g in 0..PIXELS / LANES
#if JOINED
        let q${g} = select(vec4f(), loadX(select(from${g}, fromSecond${g}, r4 >= params.inputQuads) + r4), inside${g});
#else
        let q${g} = select(vec4f(), loadX(from${g} + r4), inside${g});
#end
#end
#for p in 0..PIXELS
        {
#for j in 0..4
          let b${j} = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q${p / LANES}[${j}], ${p % LANES}u);
#end
#for v in 0..VECTORS
          a${p}_${v} = fma(b3, w${v}[3], fma(b2, w${v}[2], fma(b1, w${v}[1], fma(b0, w${v}[0], a${p}_${v}))));
#end
        }
#end
        at += filterRow;
      }
    }
  }

  let remaining = pixels - start;
  if (o < channels) {
#for p in 0..PIXELS
    if (${p} < remaining) {
      let at = (${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(to${p / LANES}, ${p % LANES}u) + o) / ${VECTORS}u;
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
  if (o < channels) {
    let at = (group.x * params.outputQuads + o / 4u) * 12u + o % 4u;
#include storeMoments
  }
#end
}
