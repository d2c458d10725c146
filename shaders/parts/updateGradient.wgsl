    // Of vec4f i the parameter p and its gradient g, which is multiplied by `factor`, written back under CLIP, and decayed.
    let p = parameter[i];
    var g = gradient[i];
#if GATED || CLIP
    g *= factor;
#end
#if CLIP
    gradient[i] = g;
#end
    g += params.weightDecay * p;
