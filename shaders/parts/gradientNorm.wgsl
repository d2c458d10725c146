// The norm of all gradients, from gradientSquares' sums in `squares`.
fn normOfAll() -> f32 {
  var sum = vec4f();
  for (var i = 0u; i < arrayLength(&squares); i++) {
    sum += squares[i];
  }
  return sqrt(sum.x + sum.y + sum.z + sum.w);
}
