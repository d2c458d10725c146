// filterTranspose: swaps a filter's channel axes, and with flip = 1 turns its taps by 180 degrees.
//
//   y[o,tap',r] = w[r,tap,o],  tap' = taps-1-tap if flip = 1, else tap
//
//   With it the data gradient of a stride-1 conv2d is a conv2d (flipped, padding k-1-p), that of a strided one the
//   transposed form (not flipped), and that of a convTranspose2d a strided conv2d (not flipped).
//
// w  filter (r4, tap, o) of vec4 over r, pads 0;  y  filter (o4, tap, r) of vec4 over o
// A thread turns a block of 4x4 numbers, 64 bytes on both sides. 64 threads a workgroup, along the blocks (o4, tap,
// r4); the host dispatches enough of them in x and y. Assigns y, pads included.

struct Params {
  inputQuads: u32,
  outputQuads: u32,
  taps: u32,
  flip: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let block = (group.y * groups.x + group.x) * 64u + local;
  let r4 = block % params.inputQuads;
  let row = block / params.inputQuads;
  let o4 = row / params.taps;
  if (o4 >= params.outputQuads) {
    return;
  }
  let tap = select(row % params.taps, params.taps - 1u - row % params.taps, params.flip != 0u);
  let at = ((r4 * params.taps + tap) * params.outputQuads + o4) * 4u;
  let turned = transpose(mat4x4f(w[at], w[at + 1u], w[at + 2u], w[at + 3u]));
  let to = block * 4u;
  y[to] = turned[0];
  y[to + 1u] = turned[1];
  y[to + 2u] = turned[2];
  y[to + 3u] = turned[3];
}
