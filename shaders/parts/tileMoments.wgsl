  // pixelMoments of a tile of ROWS x COLUMNS pixels from (top, left) on, whose sums are aROW_COLUMN_VECTOR.
  let count = f32(min(params.outputHeight - top, ${ROWS}u) * min(params.outputWidth - left, ${COLUMNS}u));
#for v in 0..VECTORS
#for i in 0..ROWS
#for j in 0..COLUMNS
  a${i}_${j}_${v} = f32(Number(a${i}_${j}_${v}));
#end
#end
  var sum${v} = 0.0;
#for i in 0..ROWS
#for j in 0..COLUMNS
  sum${v} += select(0.0, a${i}_${j}_${v} - a0_0_${v}, top + ${i}u < params.outputHeight && left + ${j}u < params.outputWidth);
#end
#end
  let mean${v} = a0_0_${v} + sum${v} / count;
  var squares${v} = 0.0;
#for i in 0..ROWS
#for j in 0..COLUMNS
  {
    let apart = select(0.0, a${i}_${j}_${v} - mean${v}, top + ${i}u < params.outputHeight && left + ${j}u < params.outputWidth);
    squares${v} = fma(apart, apart, squares${v});
  }
#end
#end
#end
