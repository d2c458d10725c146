    // A block of maxPool2d's dx from (top, left) on. dJ_K and foundJ_K are dy and the taps of the window J rows and K columns before the one that
    // begins with the block: its dy counts where its tap is the pixel.
    let to = ((at.z * params.inputHeight + top) * params.inputWidth + left) * quads + quad;
#for a in 0..STRIDE
    if (top + ${a} >= 0 && top + ${a} < params.inputHeight) {
#for b in 0..STRIDE
      if (left + ${b} >= 0 && left + ${b} < params.inputWidth) {
        var sum = vec4f();
#for j in 0..(KERNEL + STRIDE - 1) / STRIDE
#for k in 0..(KERNEL + STRIDE - 1) / STRIDE
#if a + j * STRIDE < KERNEL && b + k * STRIDE < KERNEL
        sum += select(vec4f(), d${j}_${k}, found${j}_${k} == vec4u(${(a + j * STRIDE) * KERNEL + b + k * STRIDE}));
#end
#end
#end
        dx[to + (${a} * params.inputWidth + ${b}) * quads] = Quad(sum);
      }
#end
    }
#end
