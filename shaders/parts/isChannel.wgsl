// Which numbers of vec4f i of an image are channels, not pads.
fn is_channel(i: u32) -> vec4<bool> {
  let quads = (params.channels + 3) / 4;
  return vec4u(0, 1, 2, 3) + (i % quads) * 4 < vec4u(params.channels);
}
