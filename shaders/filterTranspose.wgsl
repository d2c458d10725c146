// filterTranspose: swaps a filter's channel axes, and with flip = 1 turns its taps by 180 degrees.
//
//   y[o,tap',r] = w[r,tap,o],  tap' = taps-1-tap if flip = 1, else tap
//
//   With it the data gradient of a stride-1 conv2d is a conv2d (flipped, padding k-1-p), that of a strided one the transposed form
//   (not flipped), and that of a convTranspose2d a strided conv2d (not flipped).
//
// w  filter (r4, tap, o) of vec4 over r as f32, pads 0;  y  filter (o4, tap, r) of vec4 over o
// Threads: 64 along y's vec4s; the host dispatches enough of them in x and y. Assigns y, pads included.

struct Params {
  inputQuads: u32,
  outputQuads: u32,
  taps: u32,
  flip: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let element = (group.y * groups.x + group.x) * 64u + local;
  let r = element % (params.inputQuads * 4u);
  let row = element / (params.inputQuads * 4u);
  let o4 = row / params.taps;
  if (o4 >= params.outputQuads) {
    return;
  }
  let tap = select(row % params.taps, params.taps - 1u - row % params.taps, params.flip != 0u);
  let from = ((r / 4u * params.taps + tap) * params.outputQuads + o4) * 16u + r % 4u;
  y[element] = vec4f(w[from], w[from + 4u], w[from + 8u], w[from + 12u]);
}
