// log(1 + e) for 0 <= e <= 1; 1 + e would round most of a small e away, and with it the loss of a sure and right
// prediction.
fn log1p(e: vec4f) -> vec4f {
  return select(log(1 + e), e * (1 - e * (0.5 - e / 3)), e < vec4f(0.01));
}
