  // The output pixels of a phase, `size` of an image and `pixels` in all: every one, or where transposed those of one residue by the stride
  // (oy % strideY, ox % strideX), phase number group.z / blocks. Along one axis, output row m of it and its tap a, one of `taps`, read input
  // row m*inStep + a*tapStep + offset, and the filter's row is firstTap + a*filterStep.
  var phase = vec2i();
  var outStep = vec2i(1);
  var inStep = vec2i(vec2u(params.strideY, params.strideX));
  var tapStep = 1;
  var filterStep = vec2i(1);
  var firstTap = vec2i();
  var offset = -vec2i(params.padTop, params.padLeft);
  let kernel = vec2i(vec2u(params.kernelHeight, params.kernelWidth));
  var taps = kernel;
  if (params.transposed != 0u) {
    let stride = inStep;
    let index = i32(group.z / blocks);
    phase = vec2i(index / stride.y, index % stride.y);
    outStep = stride;
    inStep = vec2i(1);
    tapStep = -1;
    filterStep = stride;
    let shifted = phase + vec2i(params.padTop, params.padLeft);
    firstTap = shifted % stride;
    offset = shifted / stride;
    taps = (kernel - firstTap + stride - 1) / stride;
  }
  let size = (vec2i(vec2u(params.outputHeight, params.outputWidth)) - phase + outStep - 1) / outStep;
  let pixels = i32(params.batch) * size.x * size.y;
