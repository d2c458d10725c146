  // Moments of the sums aPIXEL_VECTOR as they are stored (but that Mesa leaves a rounding to f16 out), of the first `remaining` of PIXELS
  // pixels: count, mean and squared distances from it, as batchNorm2d merges them. Sums are taken from a value of the channel, since a mean far from 0 would round them.
  let inside = min(remaining, ${PIXELS});
  let count = f32(inside);
#for v in 0..VECTORS
#for p in 0..PIXELS
  a${p}_${v} = f32(Number(a${p}_${v}));
#end
  var sum${v} = 0.0;
#for p in 0..PIXELS
  sum${v} += select(0.0, a${p}_${v} - a0_${v}, ${p} < inside);
#end
  let mean${v} = a0_${v} + sum${v} / count;
  var squares${v} = 0.0;
#for p in 0..PIXELS
  {
    let apart = select(0.0, a${p}_${v} - mean${v}, ${p} < inside);
    squares${v} = fma(apart, apart, squares${v});
  }
#end
#end
