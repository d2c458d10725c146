enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dWinogradSubgroup: convolution 3x3, stride 1, any padding, as Winograd's F(2x2,3x3) (Lavin and Gray, arXiv:1509.09308), for CPU
// adapters (fixed subgroup size LANES) with texture loads.
//
//   y of each patch of 2x2 pixels = bias + A^T m A,  m[k] = sum over r of u[k,r] * v[k,r],  with the rows m0+m1+m2, m1-m2-m3 of A^T
//
// u, v  transformed filter (winogradFilter) and patches (winogradPatches) in textures (engine/texels.ts)
// bias  vector; y  image (n, h, w, quads) of vec4 over channels
// Tile: a workgroup is one subgroup and computes TILE patches x LANES*4 channels; a lane owns 4 neighbouring channels, which it
//   stores at once, and the quads of the patches are gathered, LANES at a time, and spread to the lanes. The sums of one k are
//   complete before the next k begins, and are then added into y, so that the body stays in the processor's instruction cache.
//   A value that is not finite makes those of all its patches not finite, where a direct sum would spare pixels two away.
//   Its largest error against sums in f64 is 1.9e-7 of the largest value at 64 channels and 3.8e-7 at 256, where conv2dSubgroup3x3 has
//   9.1e-7 and 1.5e-6 (numbers between -1 and 1).
//   Measured with all dispatches and copies, moments included, GFLOP/s of the direct sum, and in brackets what conv2dSubgroup3x3 has
//   (llvmpipe, Mesa 25.0.7, 8 lanes, two cores of a 2.6 GHz Zen 4, N=4):
//     64->64 32x32     110 (89)    128->64 32x32    112 (95)    64->64 16x16    92 (84)    32->32 64x64      78 (81)
//     64->64 64x64 N=2 107 (90)    64->128 16x16    110 (88)    128->128 8x8    85 (85)    16->16 128x128    32 (66)
//     128->128 16x16   127 (95)    256->128 16x16   127 (95)    256->256 8x8   105 (95)    64->64 8x8        52 (65)
//   A UNet's training step (width 16, 128x128, batch 4) 16.5 images/s instead of 15.4, a ResNet34-UNet's 41.3 instead of 40.9. Of
//   64->64 32x32 products take 0.66 of the time, patches 0.16, copies and cold caches most of the rest. Compiled in 0.7 s,
//   winogradPatches and winogradFilter in 0.3, the latter TURNED in 1.1.
//   16 lanes, where what is spread costs several instructions: 92 (101) for the first, 119 (110) for 128->128 16x16, 119 (113) for
//   256->128 16x16, 93 (109) for 256->256 8x8; compiled in 2.1, 0.6 and 0.8 s. With sums of a row of k before those of y 100 for the
//   first and 122, and more than twice as long to compile; at 8 lanes no gain.
//   What did not help, at 8 lanes: gathers between products instead of before them (0.88), 16 patches a workgroup (0.92), two quads at
//   a time, which leave the instruction cache (0.93), two channels of a lane (0.9), 64 patches (1.02, and twice the code), lanes that
//   own patches (level, and moments would have to go across lanes). Patches transformed as they are loaded: 18 s to compile (16 lanes).
// Dispatch: x = blocks of LANES*4 channels, y = blocks of TILE patches, from patch `first` on. Assigns y, pads included.
// Where hasMoments each block's moments go into moments, batchNorm2d's partials, number firstPart + y. A pipeline without would not be
//   faster, and takes as long to compile.

struct Params {
  batch: u32,
  inputQuads: u32,
  outputHeight: u32,
  outputWidth: u32,
  outputQuads: u32,
  patchesDown: u32,
  patchesAcross: u32,
  first: u32,
  firstPart: u32,
  hasBias: u32,
  hasMoments: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 v vec4f
#texels 2 u vec4f
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> moments: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let o4 = group.x * LANES + lane;
  var start = vec4f();
  if (params.hasBias != 0u) {
    start = bias[min(o4, params.outputQuads - 1u)];
  }
#for t in 0..TILE
#for c in 0..4
#for p in 0..4
  var y${t}_${c}_${p} = start[${c}];
#end
#end
#end

  var atV = group.y * 16u * params.inputQuads * ${TILE}u + lane;
  var atU = (group.x * 16u * params.inputQuads * LANES + lane) * 4u;
  for (var k = 0u; k < 16u; k++) {
#for t in 0..TILE
#for c in 0..4
    var m${t}_${c} = 0.0;
#end
#end
    for (var r4 = 0u; r4 < params.inputQuads; r4++) {
#for g in 0..TILE / LANES
      let q${g} = loadV(atV + ${g * LANES}u);
#end
#for c in 0..4
      let u${c} = loadU(atU + ${c}u);
#end
#for t in 0..TILE
      {
#for e in 0..4
        let b${e} = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q${t / LANES}[${e}], ${t % LANES}u);
#end
#for c in 0..4
        m${t}_${c} += fma(b1, u${c}[1], b0 * u${c}[0]) + fma(b3, u${c}[3], b2 * u${c}[2]);
#end
      }
#end
      atV += ${TILE}u;
      atU += ${LANES * 4}u;
    }
    // Of row and column k in the two rows of A^T.
    let upper = select(1.0, 0.0, k / 4u == 3u);
    let lower = select(select(-1.0, 1.0, k / 4u == 1u), 0.0, k / 4u == 0u);
    let left = select(1.0, 0.0, k % 4u == 3u);
    let right = select(select(-1.0, 1.0, k % 4u == 1u), 0.0, k % 4u == 0u);
    let s0 = upper * left;
    let s1 = upper * right;
    let s2 = lower * left;
    let s3 = lower * right;
#for t in 0..TILE
#for c in 0..4
#for p in 0..4
    y${t}_${c}_${p} = fma(s${p}, m${t}_${c}, y${t}_${c}_${p});
#end
#end
#end
  }

  // Loops that select: all stores one after the other take longer to compile. A lane finds the place of one patch.
  var count = 0.0;
  var mean = vec4f();
  var squares = vec4f();
  for (var g = 0u; g < ${TILE / LANES}u; g++) {
    let at = params.first + (group.y * ${TILE / LANES}u + g) * LANES + lane;
    let n = at / (params.patchesDown * params.patchesAcross);
    let top = at / params.patchesAcross % params.patchesDown * 2u;
    let left = at % params.patchesAcross * 2u;
    for (var p = 0u; p < 4u; p++) {
      let oy = top + p / 2u;
      let ox = left + p % 2u;
      let inside = n < params.batch && oy < params.outputHeight && ox < params.outputWidth;
      let pixel = select(-1, i32((n * params.outputHeight + oy) * params.outputWidth + ox), inside);
#for t in 0..LANES
      {
        let to = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(pixel, ${t}u);
        if (to >= 0 && o4 < params.outputQuads) {
          var value = vec4f();
#for h in 0..TILE / LANES
          {
            let upper = select(
              vec4f(y${h * LANES + t}_0_0, y${h * LANES + t}_1_0, y${h * LANES + t}_2_0, y${h * LANES + t}_3_0),
              vec4f(y${h * LANES + t}_0_1, y${h * LANES + t}_1_1, y${h * LANES + t}_2_1, y${h * LANES + t}_3_1), p == 1u);
            let lower = select(
              vec4f(y${h * LANES + t}_0_2, y${h * LANES + t}_1_2, y${h * LANES + t}_2_2, y${h * LANES + t}_3_2),
              vec4f(y${h * LANES + t}_0_3, y${h * LANES + t}_1_3, y${h * LANES + t}_2_3, y${h * LANES + t}_3_3), p == 3u);
            value = select(value, select(upper, lower, p > 1u), g == ${h}u);
          }
#end
          y[u32(to) * params.outputQuads + o4] = value;
          // Welford's update.
          count += 1.0;
          let apart = value - mean;
          mean += apart / count;
          squares += apart * (value - mean);
        }
      }
#end
    }
  }
  if (params.hasMoments != 0u && o4 < params.outputQuads) {
    let at = ((params.firstPart + group.y) * params.outputQuads + o4) * 3u;
    moments[at] = vec4f(count);
    moments[at + 1u] = mean;
    moments[at + 2u] = squares;
  }
}
