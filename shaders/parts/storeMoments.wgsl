    // What pixelMoments or tileMoments found, as a partial of batchNorm2d, in which the lane's first channel is number `at`.
#for v in 0..VECTORS
    moments[at + ${v}u] = count;
    moments[at + ${v + 4}u] = mean${v};
    moments[at + ${v + 8}u] = squares${v};
#end
