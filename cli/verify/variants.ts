/** Every way that the engine can go, to be forced in turn: what the adapter's rule leaves out has to be right, too. */
import type { Device, DeviceTraits } from '../../engine/device.js';

export interface Variant {
  name: string;
  force(device: Device): Device;
}

export const AS_CHOSEN: Variant = { name: "the adapter's own choice", force: (device) => device };

/** The most forms that the rule ever has to order: seven tiles of registers, and a kernel for certain shapes or Winograd's. */
export const FORMS = 8;

/** The form that the rule puts at this place, or its last. */
export const formAt =
  (place: number): DeviceTraits['choose'] =>
  (_, forms) =>
    Math.min(place, forms.length - 1);

/** What this adapter can run; its own choice is among the first. */
export function variantsOf({ traits: { subgroupSize, maxTexelBytes } }: Device): Variant[] {
  const subgroups = subgroupSize >= 8;
  const variants: Variant[] = [
    { name: 'plain convolutions', force: (device) => device.withKernels('plain') },
    { name: 'tiled convolutions', force: (device) => device.withKernels('tiled') },
  ];
  if (subgroups) {
    variants.push({ name: 'subgroup convolutions', force: (device) => device.withKernels('subgroup', false) });
    if (maxTexelBytes > 0) {
      const force = (device: Device) => device.withKernels('subgroup');
      variants.push({ name: 'subgroup convolutions with texture loads', force });
    }
  }
  variants.push({
    name: 'general kernels where channels are few',
    force: (device) => device.withHabits({ fewChannels: false }),
  });
  for (let place = 1; place < FORMS; place++) {
    const name = `form ${place + 1} of ${FORMS} in the order of the rule`;
    variants.push({ name, force: (device) => device.withHabits({ choose: formAt(place) }) });
  }
  variants.push({ name: 'nothing fused', force: (device) => device.withHabits({ fuse: false }) });
  return variants;
}
