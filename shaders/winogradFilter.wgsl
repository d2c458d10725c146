// winogradFilter: a 3x3 filter transformed for conv2dWinogradSubgroup.
//
//   u[k] = G g G^T of the taps g of each pair of channels, k = 4*row + column, with the rows (1,0,0), (1,1,1)/2, (1,-1,1)/2, (0,0,1) of G
//
// w  filter (r4, tap, o) of vec4 over r
// u  (block of LANES*4 channels o, k, r4, o within the block) of vec4 over r: what a workgroup reads lies together. What the last block has
//    beyond the channels of w stays as it is
// A workgroup is one subgroup of LANES, a lane has a quad of filters, number x + y * workgroups in x of them. Assigns u.

struct Params {
  inputQuads: u32,
  outputQuads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> u: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let channels = params.outputQuads * 4u;
  let i = (group.y * groups.x + group.x) * LANES + lane;
  let r4 = i / channels;
  let o = i % channels;
  if (r4 >= params.inputQuads) {
    return;
  }
  let at = r4 * 9u * channels + o;
#for x in 0..3
  let g0_${x} = w[at + ${x}u * channels];
  let g1_${x} = w[at + ${3 + x}u * channels];
  let g2_${x} = w[at + ${6 + x}u * channels];
  let t0_${x} = g0_${x};
  let t1_${x} = 0.5 * (g0_${x} + g1_${x} + g2_${x});
  let t2_${x} = 0.5 * (g0_${x} - g1_${x} + g2_${x});
  let t3_${x} = g2_${x};
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
