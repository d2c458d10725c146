  // Where an optimizer's update begins: of `count` vec4f the invocation `lane` of workgroup `group` has start, start + THREADS, ... < end, and
  // `factor` is for updateGradient. The dispatch over the first chunk reports the norm. GATED and CLIP as in adam.
  let start = (group.x + group.y * groups.x) * ${THREADS * RUN}u + lane;
  let end = min(start + ${THREADS * RUN}u, params.count);
  let reports = params.chunk == 0 && start == 0;
  var factor = 1.0;
#if GATED
  factor = gate[0].x;
#end
  if (CLIP || reports) {
    let whole = normOfAll() * factor;
    if (reports) {
      norm[0] = vec4f(whole, 0, 0, 0);
    }
#if CLIP
    factor *= min(1.0, params.clipNorm / (whole + 1e-6));
#end
  }
#if GATED
  if (gate[0].y == 0) {
    return;
  }
#end
