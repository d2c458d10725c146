/** One device for all test files of a process: pipelines are compiled once. */
import type { Device, KernelFamily } from '../../engine/device.js';
import { openDevice } from '../../engine/dawn.js';

const devices = new Map<string, Promise<Device>>();

/** The shared device. Ask at the top of the file (`const device = await testDevice()`): a hook that throws counts as success in uvu. */
export function testDevice(kernels?: KernelFamily): Promise<Device> {
  const key = kernels ?? 'default';
  let device = devices.get(key);
  if (!device) {
    device = openDevice({ kernels, precision: kernels === 'matrix' ? 'f16' : 'f32' });
    devices.set(key, device);
  }
  return device;
}

/** Lets the process exit. */
export async function closeDevice(): Promise<void> {
  // One that the adapter could not give was its test's own matter.
  for (const opened of await Promise.allSettled(devices.values())) {
    if (opened.status === 'fulfilled') opened.value.close();
  }
  devices.clear();
}
