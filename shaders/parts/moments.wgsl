// Count, mean and squared distances from it of some values, by channel, and those of two sets together. As batchNorm2d's partials they
// are three vec4: the count in all components, the mean, the squares.
struct Moments {
  count: f32,
  mean: vec4f,
  // sum of squared distances from the mean
  squares: vec4f,
}

// Chan, Golub, LeVeque: "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979)
fn merge(a: Moments, b: Moments) -> Moments {
  let count = a.count + b.count;
  let share = b.count / max(count, 1.0);
  let apart = b.mean - a.mean;
  return Moments(count, a.mean + apart * share, a.squares + b.squares + apart * apart * (a.count * share));
}
