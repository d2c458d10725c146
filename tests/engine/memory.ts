import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Scratch } from '../../engine/lowering.js';
import { assignSlots, type Lifetime, peakBytes } from '../../engine/memory.js';
import { Random } from '../../engine/random.js';

const test = suite('memory');

const life = (bytes: number, from: number, to: number): Lifetime => ({
  storage: new Scratch('s', bytes),
  bytes,
  from,
  to,
});

test('storages that are never alive together share a slot', () => {
  const lifetimes = [life(100, 0, 1), life(60, 2, 3), life(100, 1, 2)];
  const { slots, slotOf } = assignSlots(lifetimes);
  assert.equal(slots, [100, 100]);
  assert.is(slotOf.get(lifetimes[0]), slotOf.get(lifetimes[1]));
  assert.is(peakBytes(lifetimes), 200);
});

test('no two storages alive together share a slot, and each fits', () => {
  const random = new Random('memory');
  const lifetimes = Array.from({ length: 300 }, () => {
    const from = random.integer(100);
    return life(16 * (1 + random.integer(64)), from, from + random.integer(20));
  });
  const { slots, slotOf } = assignSlots(lifetimes);
  for (const a of lifetimes) {
    assert.ok(a.bytes <= slots[slotOf.get(a)!]);
    for (const b of lifetimes) {
      if (a !== b && slotOf.get(a) === slotOf.get(b)) assert.ok(a.to < b.from || b.to < a.from);
    }
  }
  const total = slots.reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(total <= 1.3 * peakBytes(lifetimes), `${total} bytes for a peak of ${peakBytes(lifetimes)}`);
});

test.run();
