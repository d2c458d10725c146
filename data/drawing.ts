/** Pictures of simple synthetic animals with their masks, for trying the program without any download. */
import { Random } from '../engine/random.js';
import type { Photo } from './decode.js';
import { boundingBox, signedDistance, smoothNoise, type Point, type Shape } from './shapes.js';

type Colour = readonly [red: number, green: number, blue: number];

/**
 * `trimap` holds height x width values: 1 animal, 2 background, 3 border: a band about 3 pixels wide along the outline.
 */
export interface DrawnPicture {
  photo: Photo;
  trimap: Uint8Array;
  species: 'cat' | 'dog';
}

/** A piece of the animal: shape, colour, and whether it has the fur's pattern (eyes and noses have not). */
interface Part {
  shape: Shape;
  colour: Colour;
  fur: boolean;
}

const furColours: readonly Colour[] = [
  [206, 138, 74],
  [228, 205, 172],
  [58, 50, 48],
  [134, 130, 128],
  [121, 84, 56],
  [236, 232, 226],
  [174, 120, 92],
];

// Walls, floors and things. Some share the furs' browns, greys and whites, so that colour alone does not tell an
// animal.
const sceneColours: readonly Colour[] = [
  ...furColours.slice(0, 5),
  [108, 142, 84],
  [86, 118, 160],
  [176, 196, 206],
  [150, 76, 72],
  [212, 196, 120],
  [94, 96, 112],
  [70, 104, 76],
  [196, 160, 176],
];

/** Draws one picture; the same arguments give the same picture. */
export function drawPicture(height: number, width: number, ...keys: number[]): DrawnPicture {
  const random = new Random('picture', ...keys);
  const species = random.uniform() < 0.5 ? 'cat' : 'dog';
  const pixels = drawScene(height, width, random);
  const parts = placeAnimal(animalParts(species, random), height, width, random);
  const inside = drawAnimal(pixels, height, width, parts, random);
  // A clamped array rounds and keeps to 0 .. 255 by itself.
  const bytes = new Uint8Array(new Uint8ClampedArray(pixels).buffer);
  return { photo: { height, width, pixels: bytes }, trimap: toTrimap(inside, height, width), species };
}

const pick = <T>(random: Random, items: readonly T[]): T => items[random.integer(items.length)];

function vary(random: Random, colour: Colour, by: number): Colour {
  const light = random.uniform(-by, by);
  return colour.map((value) => value + light + random.uniform(-by, by) / 2) as unknown as Colour;
}

/**
 * Wall and floor, each shaded and with a texture of its own, and some things standing about: height x width x 3 values.
 */
function drawScene(height: number, width: number, random: Random): Float32Array {
  const size = Math.min(height, width);
  const pixels = new Float32Array(height * width * 3);
  const horizon = random.uniform(0.3, 0.85) * height;
  const tilt = random.uniform(-0.1, 0.1);
  const surface = () => ({
    colour: vary(random, pick(random, sceneColours), 25),
    shade: random.uniform(-50, 50),
    grain: random.uniform(3, 14),
    grainSize: random.uniform(0.01, 0.12) * size,
    stripes: random.uniform() < 0.3 ? random.uniform(8, 30) : 0,
    stripeAngle: random.uniform(0, Math.PI),
    stripeWidth: random.uniform(0.04, 0.2) * size,
    key: random.bits(),
  });
  const wall = surface();
  const floor = surface();
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const { colour, shade, grain, grainSize, stripes, stripeAngle, stripeWidth, key } =
        y + tilt * (x - width / 2) < horizon ? wall : floor;
      const across = x * Math.cos(stripeAngle) + y * Math.sin(stripeAngle);
      const light =
        shade * (x / width + y / height - 1) +
        grain * smoothNoise(key, x, y, grainSize) +
        25 * smoothNoise(key + 1, x, y, 0.5 * size) +
        stripes * Math.sign(Math.sin((across / stripeWidth) * Math.PI));
      for (let c = 0; c < 3; c++) pixels[at + c] = colour[c] + light;
    }
  }
  const things = 2 + random.integer(6);
  for (let i = 0; i < things; i++) {
    const center = { x: random.uniform(0, width), y: random.uniform(0.1, 1) * height };
    const reach = () => random.uniform(0.05, 0.25) * size;
    const sideways = () => random.uniform(-0.3, 0.5) * size;
    const moved = (dx: number, dy: number): Point => ({ x: center.x + dx, y: center.y + dy });
    const shape: Shape = pick<() => Shape>(random, [
      () => ({ kind: 'ellipse', center, radii: { x: reach(), y: reach() }, angle: random.uniform(0, Math.PI) }),
      () => ({
        kind: 'limb',
        from: center,
        to: moved(sideways(), reach()),
        fromRadius: reach() / 2,
        toRadius: reach() / 2,
      }),
      () => ({ kind: 'triangle', corners: [center, moved(2 * reach(), reach()), moved(-reach(), 2 * reach())] }),
    ])();
    const colour = vary(random, pick(random, sceneColours), 25);
    const shade = random.uniform(0, 60);
    paint(pixels, height, width, shape, (_x, _y, distance) => {
      const light = shade * Math.max(-1, distance / (0.1 * size)) + shade / 2;
      return colour.map((value) => value - light) as unknown as Colour;
    });
  }
  return pixels;
}

/** Paints a shape with a soft edge over what is there. */
function paint(
  pixels: Float32Array,
  height: number,
  width: number,
  shape: Shape,
  colourAt: (x: number, y: number, distance: number) => Colour,
): void {
  const { left, top, right, bottom } = boundingBox(shape);
  for (let y = Math.max(0, Math.floor(top) - 1); y < Math.min(height, bottom + 1); y++) {
    for (let x = Math.max(0, Math.floor(left) - 1); x < Math.min(width, right + 1); x++) {
      const at = (y * width + x) * 3;
      const distance = signedDistance(shape, x, y);
      const cover = Math.min(1, Math.max(0, 0.5 - distance));
      if (cover === 0) continue;
      const colour = colourAt(x, y, distance);
      for (let c = 0; c < 3; c++) pixels[at + c] += cover * (colour[c] - pixels[at + c]);
    }
  }
}

/** The animal's parts from back to front, in units of which the animal is about one wide, around the origin, y down. */
function animalParts(species: 'cat' | 'dog', random: Random): Part[] {
  const coat = vary(random, pick(random, furColours), 14);
  const second = random.uniform() < 0.5 ? coat : vary(random, pick(random, furColours), 14);
  const parts: Part[] = [];
  const add = (shape: Shape, colour: Colour = coat, fur = true) => parts.push({ shape, colour, fur });
  const u = (low: number, high: number) => random.uniform(low, high);
  const ellipse = (x: number, y: number, rx: number, ry: number, angle = 0): Shape => {
    return { kind: 'ellipse', center: { x, y }, radii: { x: rx, y: ry }, angle };
  };
  const limb = (x: number, y: number, toX: number, toY: number, fromRadius: number, toRadius: number): Shape => {
    return { kind: 'limb', from: { x, y }, to: { x: toX, y: toY }, fromRadius, toRadius };
  };
  const tail = (x: number, y: number) => {
    const tipX = x - u(0.05, 0.2);
    const tipY = y - u(-0.1, 0.25);
    const thick = species === 'cat' ? 0.028 : 0.035;
    add(limb(x, y, tipX, tipY, thick, thick), second);
    add(limb(tipX, tipY, tipX + u(-0.12, 0.05), tipY - u(0.05, 0.15), thick, 0.6 * thick), second);
  };
  const head = (x: number, y: number, r: number, look: number) => {
    if (species === 'cat') {
      for (const side of [-1, 1]) {
        const at = (dx: number, dy: number): Point => ({ x: x + dx * r, y: y + dy * r });
        const tip = at(side * u(0.75, 0.95), -u(1.35, 1.6));
        add({ kind: 'triangle', corners: [at(side * 0.55 - 0.42, -0.65), tip, at(side * 0.55 + 0.42, -0.35)] }, second);
      }
    }
    add(ellipse(x, y, r, 0.92 * r));
    const muzzle = (species === 'cat' ? 0.38 : 0.5) * r;
    add(
      ellipse(x + look * 0.35 * r, y + 0.42 * r, muzzle * (1 + 0.3 * Math.abs(look)), 0.8 * muzzle),
      vary(random, second, 10),
    );
    if (species === 'dog') {
      for (const side of [-1, 1]) {
        add(ellipse(x + side * 0.92 * r, y + u(0, 0.2) * r, 0.3 * r, u(0.6, 0.8) * r, -side * u(0.1, 0.35)), second);
      }
    }
    for (const side of [-1, 1])
      add(ellipse(x + (look * 0.2 + side * 0.4) * r, y - 0.1 * r, 0.13 * r, 0.14 * r), [24, 24, 20], false);
    add(ellipse(x + look * 0.45 * r, y + 0.3 * r, 0.14 * r, 0.1 * r), [52, 34, 36], false);
  };

  const look = u(-0.6, 0.6);
  switch (random.integer(4)) {
    case 0: {
      // Standing, seen from the side.
      const legs = u(0.2, 0.3);
      tail(-0.3, -0.04);
      for (const x of [-0.24, -0.14, 0.15, 0.25]) {
        add(limb(x, 0.05, x + u(-0.05, 0.05), 0.12 + legs, 0.06, 0.035), second);
      }
      add(ellipse(0, 0, 0.34, u(0.13, 0.18)));
      add(limb(0.24, -0.04, 0.36, -0.2, 0.11, 0.09));
      head(0.4, -0.26, u(0.12, 0.15), u(0.3, 1));
      break;
    }
    case 1:
      // Sitting, seen from the front.
      tail(-0.18, 0.32);
      for (const side of [-1, 1]) add(ellipse(side * 0.19, 0.3, 0.12, 0.1));
      add(ellipse(0, 0.12, u(0.18, 0.22), 0.28));
      for (const side of [-1, 1]) add(limb(side * 0.08, 0.12, side * u(0.08, 0.12), 0.4, 0.06, 0.045), second);
      head(u(-0.04, 0.04), -0.24, u(0.16, 0.19), look);
      break;
    case 2:
      // Lying.
      tail(-0.36, 0.08);
      add(ellipse(0, 0.05, 0.4, u(0.14, 0.18)));
      add(ellipse(-0.22, 0.08, 0.18, 0.16));
      for (const y of [0.14, 0.19]) add(limb(0.2, y, u(0.4, 0.5), y + 0.02, 0.05, 0.04), second);
      head(0.3, -0.1, u(0.14, 0.18), look);
      break;
    case 3:
      // A portrait: the shoulders go on below the picture.
      add(ellipse(u(-0.08, 0.08), 0.62, u(0.34, 0.42), 0.42));
      head(u(-0.05, 0.05), 0, u(0.25, 0.31), look);
      break;
  }
  return parts;
}

/** Turns, scales, mirrors and moves the parts to a place in the picture, in pixels. */
function placeAnimal(parts: readonly Part[], height: number, width: number, random: Random): Part[] {
  const size = Math.min(height, width) * random.uniform(0.9, 1.25);
  const turn = random.uniform(-0.15, 0.15);
  const mirror = random.uniform() < 0.5 ? -1 : 1;
  const center = { x: width * random.uniform(0.4, 0.6), y: height * random.uniform(0.45, 0.55) };
  const cos = Math.cos(turn);
  const sin = Math.sin(turn);
  const place = ({ x, y }: Point): Point => {
    const flipped = mirror * x;
    return { x: center.x + size * (cos * flipped - sin * y), y: center.y + size * (sin * flipped + cos * y) };
  };
  return parts.map(({ shape, ...rest }) => {
    switch (shape.kind) {
      case 'ellipse': {
        const radii = { x: size * shape.radii.x, y: size * shape.radii.y };
        return { ...rest, shape: { ...shape, center: place(shape.center), radii, angle: mirror * shape.angle + turn } };
      }
      case 'triangle':
        return { ...rest, shape: { ...shape, corners: shape.corners.map(place) as [Point, Point, Point] } };
      case 'limb': {
        const { from, to, fromRadius, toRadius } = shape;
        const radii = { fromRadius: size * fromRadius, toRadius: size * toRadius };
        return { ...rest, shape: { ...shape, from: place(from), to: place(to), ...radii } };
      }
    }
  });
}

/**
 * Paints the animal with fur: a pattern, fine hair, light from above, darker towards each part's edge. Returns which
 * pixels it covers.
 */
function drawAnimal(
  pixels: Float32Array,
  height: number,
  width: number,
  parts: readonly Part[],
  random: Random,
): Uint8Array {
  const size = Math.min(height, width);
  const key = random.bits();
  const pattern = pick(random, ['plain', 'stripes', 'patches'] as const);
  const patternColour = vary(random, pick(random, furColours), 14);
  const patternSize = random.uniform(0.06, 0.16) * size;
  const stripeAngle = random.uniform(-0.5, 0.5);
  const hair = random.uniform(10, 22);
  const inside = new Uint8Array(height * width);
  for (const { shape, colour, fur } of parts) {
    paint(pixels, height, width, shape, (x, y, distance) => {
      if (distance <= 0) inside[y * width + x] = 1;
      if (!fur) return colour;
      const wobble = 0.4 * patternSize * smoothNoise(key, x, y, patternSize);
      const across = x * Math.cos(stripeAngle) + y * Math.sin(stripeAngle) + wobble;
      const marked =
        pattern === 'stripes'
          ? Math.sin((across / patternSize) * 2 * Math.PI) > 0.5
          : pattern === 'patches' && smoothNoise(key + 1, x, y, 2 * patternSize) > 0.25;
      const base = marked ? patternColour : colour;
      const depth = Math.min(1, -distance / (0.06 * size));
      const hairLight = hair * smoothNoise(key + 2, x, y, 1.6) + 6 * smoothNoise(key + 3, x, y, 5);
      const light = 18 * depth - 26 * (y / height) + hairLight;
      return base.map((value) => value + light) as unknown as Colour;
    });
  }
  return inside;
}

/**
 * A pixel is border when it is inside with an outside pixel at most 2 away, or outside with an inside pixel at most 1
 * away.
 */
function toTrimap(inside: Uint8Array, height: number, width: number): Uint8Array {
  const trimap = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const own = inside[y * width + x];
      const reach = own ? 2 : 1;
      let edge = false;
      for (let dy = -reach; dy <= reach; dy++) {
        for (let dx = -reach; dx <= reach; dx++) {
          if (dx * dx + dy * dy > reach * reach) continue;
          if (y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
          if (inside[(y + dy) * width + x + dx] !== own) edge = true;
        }
      }
      trimap[y * width + x] = edge ? 3 : own ? 1 : 2;
    }
  }
  return trimap;
}
