// winogradPatches: patches of 4x4 pixels of x, two apart, transformed for conv2dWinogradSubgroup.
//
//   v[k] = B^T d B of each patch d, k = 4*row + column, with the rows d0-d2, d1+d2, d2-d1, d1-d3 of B^T
//
// x  image (n, h, w, quads) of vec4 over channels, in a texture (engine/texels.ts); zeros around it
// v  (block of TILE patches, k, r4, patch within the block) of vec4 over channels, those of x from quad firstQuad of allQuads on;
//    the patches of all images in order, from patch `first` on, and zeros beyond the last
// A workgroup is one subgroup of LANES, a lane has a patch and goes through its quads.
// Dispatch: x = blocks of LANES patches, TILE a multiple of LANES. Assigns v.

struct Params {
  batch: u32,
  inputHeight: u32,
  inputWidth: u32,
  inputQuads: u32,
  firstQuad: u32,
  allQuads: u32,
  patchesDown: u32,
  patchesAcross: u32,
  first: u32,
  padTop: i32,
  padLeft: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 x vec4f
@group(0) @binding(2) var<storage, read_write> v: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let local = group.x * LANES + lane;
  let at = params.first + local;
  let n = at / (params.patchesDown * params.patchesAcross);
  let height = i32(params.inputHeight);
  let width = i32(params.inputWidth);
  let iy = i32(at / params.patchesAcross % params.patchesDown) * 2 - params.padTop;
  let ix = i32(at % params.patchesAcross) * 2 - params.padLeft;
  let corner = ((i32(n) * height + iy) * width + ix) * i32(params.inputQuads);
#for i in 0..4
#for j in 0..4
  let inside${i}_${j} = n < params.batch && iy >= ${-i} && iy < height - ${i} && ix >= ${-j} && ix < width - ${j};
  let from${i}_${j} = select(0u, u32(corner + (${i} * width + ${j}) * i32(params.inputQuads)), inside${i}_${j});
#end
#end
  let step = params.allQuads * ${TILE}u;
  var to = local / ${TILE}u * 16u * step + params.firstQuad * ${TILE}u + local % ${TILE}u;
  for (var r4 = 0u; r4 < params.inputQuads; r4++) {
#for j in 0..4
#for i in 0..4
    let d${i}_${j} = select(vec4f(), loadX(from${i}_${j} + r4), inside${i}_${j});
#end
    let t0_${j} = d0_${j} - d2_${j};
    let t1_${j} = d1_${j} + d2_${j};
    let t2_${j} = d2_${j} - d1_${j};
    let t3_${j} = d1_${j} - d3_${j};
#end
#for i in 0..4
    v[to + ${4 * i}u * step] = t${i}_0 - t${i}_2;
    v[to + ${4 * i + 1}u * step] = t${i}_1 + t${i}_2;
    v[to + ${4 * i + 2}u * step] = t${i}_2 - t${i}_1;
    v[to + ${4 * i + 3}u * step] = t${i}_1 - t${i}_3;
#end
    to += ${TILE}u;
  }
}
