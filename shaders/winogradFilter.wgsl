// winogradFilter: a 3x3 filter transformed for conv2dWinogradSubgroup.
//
//   u[k] = G g G^T of the taps g of each pair of channels, k = 4*row + column, with the rows (1,0,0), (1,1,1)/2, (1,-1,1)/2, (0,0,1) of G
//
// w  filter (r4, tap, o) of vec4 over r; TURNED: (o4, tap, r) of vec4 over o, its taps turned by 180 degrees, as filterTranspose gives
//    them to the gradient of a convolution's input
// u  (block of LANES*4 channels o, k, r4, o within the block) of vec4 over r: what a workgroup reads lies together. What the last block
//    has beyond the channels of w stays as it is
// A workgroup is one subgroup of LANES; lane number i of all, by workgroups in x, then in y, has a quad of r and one o, TURNED four.
// Assigns u.

struct Params {
  inputQuads: u32,
  outputQuads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#texels 1 w vec4f
@group(0) @binding(2) var<storage, read_write> u: array<vec4f>;

// Of one o and a quad of r.
fn transform(g: array<vec4f, 9>, r4: u32, o: u32) {
#for x in 0..3
  let t0_${x} = g[${x}];
  let t1_${x} = 0.5 * (g[${x}] + g[${3 + x}] + g[${6 + x}]);
  let t2_${x} = 0.5 * (g[${x}] - g[${3 + x}] + g[${6 + x}]);
  let t3_${x} = g[${6 + x}];
#end
  let step = params.inputQuads * ${LANES * 4}u;
  let to = (o / ${LANES * 4}u * 16u * params.inputQuads + r4) * ${LANES * 4}u + o % ${LANES * 4}u;
#for y in 0..4
  u[to + ${4 * y}u * step] = t${y}_0;
  u[to + ${4 * y + 1}u * step] = 0.5 * (t${y}_0 + t${y}_1 + t${y}_2);
  u[to + ${4 * y + 2}u * step] = 0.5 * (t${y}_0 - t${y}_1 + t${y}_2);
  u[to + ${4 * y + 3}u * step] = t${y}_2;
#end
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * groups.x + group.x) * LANES + lane;
#if TURNED
  let r4 = i % params.inputQuads;
  let o4 = i / params.inputQuads;
  if (o4 >= params.outputQuads) {
    return;
  }
  let at = (o4 * 9u * params.inputQuads + r4) * 4u;
#for tap in 0..9
#for e in 0..4
  let w${tap}_${e} = loadW(at + ${8 - tap}u * params.inputQuads * 4u + ${e}u);
#end
#end
  for (var c = 0u; c < 4u; c++) {
    transform(array<vec4f, 9>(
#for tap in 0..9
      vec4f(w${tap}_0[c], w${tap}_1[c], w${tap}_2[c], w${tap}_3[c]),
#end
    ), r4, o4 * 4u + c);
  }
#else
  let channels = params.outputQuads * 4u;
  let r4 = i / channels;
  let o = i % channels;
  if (r4 >= params.inputQuads) {
    return;
  }
  let at = r4 * 9u * channels + o;
  transform(array<vec4f, 9>(
#for tap in 0..9
    loadW(at + ${tap}u * channels),
#end
  ), r4, o);
#end
}
