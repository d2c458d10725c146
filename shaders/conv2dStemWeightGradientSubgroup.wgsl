enable subgroups;
diagnostic(off, subgroup_uniformity);
// conv2dStemWeightGradientSubgroup: filter gradient of the convolutions of conv2dStemSubgroup (INPUTS <= 4 channels), for CPU
// adapters (fixed subgroup size LANES).
//
//   dw[ky,kx,o][c] = sum over n,oy,ox of x[n, oy*strideY+ky-padTop, ox*STRIDE+kx-padLeft, c] * dy[n,oy,ox,o]
//
// x   image of one Quad (vec4f or vec4h) a pixel, pad channels 0;  dy  image of 4*outputQuads numbers a pixel, by VECTORS
//     (Stored), pads 0
// dw  filters (tap, o) of vec4 over c, one for each split z, one after the other (stridedSum adds them); assigned, pads included
// Tile: a workgroup is one subgroup and computes TAP_ROWS rows of taps, all their columns and channels of x, for VECTORS*LANES
//   channels of dy; a lane owns VECTORS neighbouring ones (1, 2 or 4). A unit of the sum is COLUMNS pixels of a row of dy: the
//   rows of x below it are gathered, LANES pixels at a time, and spread by subgroupBroadcast to every tap that meets them; a sum
//   takes its COLUMNS products in a row, so that it is loaded and stored once (1.2 to 1.6 times as fast as pixel by pixel).
//   Measured, 3->16, N=4, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon, 7x7 stride 2 to 64x64 and 3x3 at
//   128x128: 16.7 and 17.5 GFLOP/s with 2 and 3 rows of taps (conv2dWeightGradientSubgroup 4.3, ...3x3 8.8); 1 row 17.9, 4 rows
//   17.8 of the former, 2 rows 12.1 of the latter. From textures on two cores of a 2.6 GHz Zen 4: 47 and 41, at 16 lanes 43
//   and 29.
// TEXELS not 0: x and dy in textures (engine/texels.ts).
// Dispatch: x = blocks of VECTORS*LANES channels, y = blocks of TAP_ROWS rows of taps, z = splits of the units, unitsPerSplit each;
//   every split has at least one unit.

struct Params {
  units: u32,
  inputHeight: u32,
  inputWidth: u32,
  outputHeight: u32,
  outputWidth: u32,
  outputQuads: u32,
  kernelHeight: u32,
  strideY: u32,
  padTop: i32,
  padLeft: i32,
  unitsPerSplit: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x Quad
#texels 2 dy Stored VECTORS
@group(0) @binding(3) var<storage, read_write> dw: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let firstTap = i32(group.y) * ${TAP_ROWS};
  let channels = params.outputQuads * 4u;
  let o = (group.x * ${LANES}u + lane) * ${VECTORS}u;
  let oSafe = min(o, channels - ${VECTORS}u);
  if (group.x * ${LANES * VECTORS}u >= channels || firstTap >= i32(params.kernelHeight)) {
    return;
  }
  let inputHeight = i32(params.inputHeight);
  let inputWidth = i32(params.inputWidth);
  let segments = (params.outputWidth + ${COLUMNS - 1}u) / ${COLUMNS}u;

  // Lane l prepares position l, LANES + l, ... of the TAP_ROWS rows of SPAN pixels of x.
#for g in 0..(TAP_ROWS * SPAN + LANES - 1) / LANES
  let t${g} = min(${g * LANES}u + lane, ${TAP_ROWS * SPAN - 1}u);
  let dy${g} = i32(t${g} / ${SPAN}u) + firstTap - params.padTop;
  let dx${g} = i32(t${g} % ${SPAN}u) - params.padLeft;
#end
#for k in 0..TAP_ROWS
#for kx in 0..KERNEL_WIDTH
#for c in 0..INPUTS
#for v in 0..VECTORS
  var s${k}_${kx}_${c}_${v} = 0.0;
#end
#end
#end
#end

  let end = min((group.z + 1u) * params.unitsPerSplit, params.units);
  for (var unit = group.z * params.unitsPerSplit; unit < end; unit++) {
    let row = unit / segments;
    let left = (unit - row * segments) * ${COLUMNS}u;
    let n = row / params.outputHeight;
    let iy = i32((row - n * params.outputHeight) * params.strideY);
    let ix = i32(left) * ${STRIDE};
#for g in 0..(TAP_ROWS * SPAN + LANES - 1) / LANES
    let y${g} = iy + dy${g};
    let x${g} = ix + dx${g};
    let inside${g} = y${g} >= 0 && y${g} < inputHeight && x${g} >= 0 && x${g} < inputWidth;
    let q${g} = select(vec4f(), loadX(u32(select(0, (i32(n) * inputHeight + y${g}) * inputWidth + x${g}, inside${g}))), inside${g});
#end
    let first = (row * params.outputWidth + left) * channels + oSafe;
#for j in 0..COLUMNS
    let past${j} = left + ${j}u >= params.outputWidth;
    let d${j} = select(loadDy(select(first + ${j}u * channels, 0u, past${j}) / ${VECTORS}u), Slots(), past${j});
#end
#for k in 0..TAP_ROWS
#for kx in 0..KERNEL_WIDTH
#for c in 0..INPUTS
    {
#for j in 0..COLUMNS
      let b${j} = ${LANES == 8 ? subgroupShuffle : subgroupBroadcast}(q${(k * SPAN + j * STRIDE + kx) / LANES}[${c}], ${(k * SPAN + j * STRIDE + kx) % LANES}u);
#for v in 0..VECTORS
#if VECTORS == 1
      s${k}_${kx}_${c}_0 = fma(b${j}, d${j}, s${k}_${kx}_${c}_0);
#else
      s${k}_${kx}_${c}_${v} = fma(b${j}, d${j}[${v}], s${k}_${kx}_${c}_${v});
#end
#end
#end
    }
#end
#end
#end
  }

  if (o < channels) {
    let part = group.z * params.kernelHeight;
#for k in 0..TAP_ROWS
    if (firstTap + ${k} < i32(params.kernelHeight)) {
      let to = (part + u32(firstTap) + ${k}u) * ${KERNEL_WIDTH}u * channels + o;
#for kx in 0..KERNEL_WIDTH
#for v in 0..VECTORS
      {
        var sums = vec4f();
#for c in 0..INPUTS
        sums[${c}] = s${k}_${kx}_${c}_${v};
#end
        dw[to + ${kx}u * channels + ${v}u] = sums;
      }
#end
#end
    }
#end
  }
}
