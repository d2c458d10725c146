    // The end of batchNorm2d: `value` becomes vec4f i of y, with RELU and ADD as they are said there.
#if ADD == 1
    value += vec4f(addend[i]);
#end
#if RELU
    value = max(value, vec4f(0));
#end
#if ADD == 2
    value += vec4f(addend[i]);
#end
    y[i] = Quad(value);
