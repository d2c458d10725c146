// The dynamic loss scale of training with f16 (engine/lossScale.ts says why), on the adapter, so that no step waits for the host.
//
// state  scale, good steps since it last changed, skipped steps in all
// makeSeed:  seed = one * scale: what differentiation begins with
// update:  from the squares of the scaled gradients (gradientSquares), whose sum is finite only if all of them are:
//          gate = 1 / scale, and 1 where they are finite, else 0
//          finite: after `interval` steps in a row the scale doubles, up to `largest`;  else: it halves, one more skipped
// WGSL may assume that numbers are finite, so only the bits tell. Assign; state is changed in place. One invocation each.

struct Params {
  interval: f32,
  largest: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> one: array<vec4f>;
@group(0) @binding(2) var<storage, read> scale: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> seed: array<vec4f>;
@group(0) @binding(4) var<storage, read> squares: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> state: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> gate: array<vec4f>;

@compute @workgroup_size(1)
fn makeSeed() {
  seed[0] = vec4f(one[0].x * scale[0].x, 0, 0, 0);
}

@compute @workgroup_size(1)
fn update() {
  let before = state[0];
  var sum = vec4f();
  for (var i = 0u; i < arrayLength(&squares); i++) {
    sum += squares[i];
  }
  let all = sum.x + sum.y + sum.z + sum.w;
  let finite = (bitcast<u32>(all) & 0x7f800000) != 0x7f800000;
  gate[0] = vec4f(1 / before.x, f32(finite), 0, 0);
  var after = before;
  if (!finite) {
    after = vec4f(before.x * 0.5, 0, before.z + 1, 0);
  } else if (before.y + 1 >= params.interval && before.x < params.largest) {
    after = vec4f(before.x * 2, 0, before.z, 0);
  } else {
    after.y = before.y + 1;
  }
  state[0] = after;
}
