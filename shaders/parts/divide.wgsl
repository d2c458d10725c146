// a / b for 0 <= a < 2^20. A processor divides eight floats faster than one integer.
fn divide(a: i32, b: i32) -> i32 {
  return i32((f32(a) + 0.5) / f32(b));
}
