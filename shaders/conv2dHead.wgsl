// conv2dHead: convolution 1x1, stride 1, to OUTPUTS <= 4 channels, and its gradients. Next to no arithmetic: these are
// passes over memory, a pixel a lane, so a lane's work is not left idle by the missing output channels.
//
//   forward         y[p,o] = bias[o] + sum over c of x[p,c] * w[c,o]
//   inputGradient   dx[p,c] = sum over o of dy[p,o] * w[c,o]: no reduction but OUTPUTS terms
//   weightGradient  partials[line][c,o] = sum of x[p,c] * dy[p,o] over the pixels line, line + lines, ... (stridedSum adds
//                   the lines)
//
// x, dx     images of `pixels` by `quads` Quad (vec4f or vec4h), pad channels 0;  y, dy  images of `pixels` Quad, pads 0
// w         filter (c4, o) of vec4 over c, o up to 4;  bias  one vec4; not read when hasBias = 0
// partials  `lines` filters
// Threads: 64, along the `lines` runs of pixels (forward, inputGradient: RUN pixels each, so that weights are loaded once for
//   all of them) or along (line, c4). The host dispatches enough of them in x and y. All assign, pads included.
// Measured, 16->1, 128x128, N=4, f32, on llvmpipe (Mesa 25.0.7), 8 lanes, two threads of a 2.5 GHz Xeon: forward 1.1 ms,
//   inputGradient 0.8, weightGradient 1.3; the subgroup forms, most of whose lanes idle here, 13.5, 8 and 16.

struct Params {
  pixels: u32,
  quads: u32,
  lines: u32,
  hasBias: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<Quad>;
@group(0) @binding(5) var<storage, read> dy: array<Quad>;
@group(0) @binding(6) var<storage, read_write> dx: array<Quad>;
@group(0) @binding(7) var<storage, read_write> partials: array<vec4f>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let line = id.x + id.y * groups.x * 64u;
  if (line >= params.lines) {
    return;
  }
  var start = vec4f();
  if (params.hasBias != 0u) {
    start = bias[0];
  }
#for k in 0..RUN
  var y${k} = start;
  let from${k} = min(line + ${k}u * params.lines, params.pixels - 1u) * params.quads;
#end
  for (var q = 0u; q < params.quads; q++) {
#for o in 0..OUTPUTS
    let w${o} = w[q * 4u + ${o}u];
#end
#for k in 0..RUN
    {
      let value = vec4f(x[from${k} + q]);
#for o in 0..OUTPUTS
      y${k}[${o}] += dot(value, w${o});
#end
    }
#end
  }
#for k in 0..RUN
  if (line + ${k}u * params.lines < params.pixels) {
    y[line + ${k}u * params.lines] = Quad(y${k});
  }
#end
}

@compute @workgroup_size(64)
fn inputGradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let line = id.x + id.y * groups.x * 64u;
  if (line >= params.lines) {
    return;
  }
  // Component by component: a lane pays for each that it loads.
#for k in 0..RUN
  let p${k} = min(line + ${k}u * params.lines, params.pixels - 1u);
#for o in 0..OUTPUTS
  let d${k}_${o} = f32(dy[p${k}][${o}]);
#end
#end
  for (var q = 0u; q < params.quads; q++) {
#for o in 0..OUTPUTS
    let w${o} = w[q * 4u + ${o}u];
#end
#for k in 0..RUN
    if (line + ${k}u * params.lines < params.pixels) {
      var sum = d${k}_0 * w0;
#for o in 1..OUTPUTS
      sum += d${k}_${o} * w${o};
#end
      dx[p${k} * params.quads + q] = Quad(sum);
    }
#end
  }
}

@compute @workgroup_size(64)
fn weightGradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let element = id.x + id.y * groups.x * 64u;
  let line = element / params.quads;
  if (line >= params.lines) {
    return;
  }
  let q = element % params.quads;
#for o in 0..4
  var s${o} = vec4f();
#end
  for (var p = line; p < params.pixels; p += params.lines) {
    let value = vec4f(x[p * params.quads + q]);
#for o in 0..OUTPUTS
    s${o} += value * f32(dy[p][${o}]);
#end
  }
#for o in 0..4
  partials[element * 4u + ${o}u] = s${o};
#end
}
