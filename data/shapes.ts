/** Shapes for drawn pictures: signed distances in pixels (negative inside), and smooth noise. */
import { hash32 } from '../engine/random.js';

export interface Point {
  x: number;
  y: number;
}

export type Shape =
  | { kind: 'ellipse'; center: Point; radii: Point; angle: number }
  | { kind: 'triangle'; corners: [Point, Point, Point] }
  /** A line from one point to another with round ends, as thick as two circles of these radii. */
  | { kind: 'limb'; from: Point; to: Point; fromRadius: number; toRadius: number };

export function signedDistance(shape: Shape, x: number, y: number): number {
  switch (shape.kind) {
    case 'ellipse':
      return ellipseDistance(shape.center, shape.radii, shape.angle, x, y);
    case 'triangle':
      return triangleDistance(shape.corners, x, y);
    case 'limb':
      return limbDistance(shape.from, shape.to, shape.fromRadius, shape.toRadius, x, y);
  }
}

/** The rectangle that a shape lies in; for an ellipse the one around the circle of its larger radius. */
export function boundingBox(shape: Shape): { left: number; top: number; right: number; bottom: number } {
  const discs: [Point, number][] =
    shape.kind === 'ellipse'
      ? [[shape.center, Math.max(shape.radii.x, shape.radii.y)]]
      : shape.kind === 'triangle'
        ? shape.corners.map((corner) => [corner, 0])
        : [
            [shape.from, shape.fromRadius],
            [shape.to, shape.toRadius],
          ];
  return {
    left: Math.min(...discs.map(([{ x }, radius]) => x - radius)),
    top: Math.min(...discs.map(([{ y }, radius]) => y - radius)),
    right: Math.max(...discs.map(([{ x }, radius]) => x + radius)),
    bottom: Math.max(...discs.map(([{ y }, radius]) => y + radius)),
  };
}

/** Exact for circles; for others to first order near the edge: f / |grad f| of f = |p / r| - 1. */
function ellipseDistance(center: Point, radii: Point, angle: number, x: number, y: number): number {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const u = (cos * (x - center.x) + sin * (y - center.y)) / radii.x;
  const v = (cos * (y - center.y) - sin * (x - center.x)) / radii.y;
  const length = Math.hypot(u, v);
  if (length < 1e-6) return -Math.min(radii.x, radii.y);
  return ((length - 1) * length) / Math.hypot(u / radii.x, v / radii.y);
}

function triangleDistance(corners: readonly Point[], x: number, y: number): number {
  const [a, b, c] = corners;
  const turn = Math.sign((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x));
  let distance = -Infinity;
  corners.forEach((from, i) => {
    const to = corners[(i + 1) % 3];
    const outward = ((to.y - from.y) * (x - from.x) - (to.x - from.x) * (y - from.y)) * turn;
    distance = Math.max(distance, outward / Math.hypot(to.x - from.x, to.y - from.y));
  });
  return distance;
}

function limbDistance(from: Point, to: Point, fromRadius: number, toRadius: number, x: number, y: number): number {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const along = ((x - from.x) * dx + (y - from.y) * dy) / (dx * dx + dy * dy);
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(x - from.x - t * dx, y - from.y - t * dy) - (fromRadius + t * (toRadius - fromRadius));
}

/** Smooth noise in -1 .. 1 with features about `size` pixels wide; the same key gives the same noise. */
export function smoothNoise(key: number, x: number, y: number, size: number): number {
  const column = Math.floor(x / size);
  const row = Math.floor(y / size);
  const ease = (t: number) => t * t * (3 - 2 * t);
  const u = ease(x / size - column);
  const v = ease(y / size - row);
  const at = (i: number, j: number) =>
    hash32(hash32(key ^ Math.imul(i, 0x9e3779b1)) ^ Math.imul(j, 0x85ebca6b)) / 2 ** 31 - 1;
  const upper = at(column, row) * (1 - u) + at(column + 1, row) * u;
  const lower = at(column, row + 1) * (1 - u) + at(column + 1, row + 1) * u;
  return upper * (1 - v) + lower * v;
}
