/** What libraries for browsers need under Node: `navigator.gpu`, with the adapter that trimap uses. */
import { findAdapter, idle } from '../../engine/dawn.js';
import type { Mode } from './child.js';

/** @returns the adapter's name */
export async function offerNavigator(wanted: string | undefined): Promise<string> {
  const { adapter, name } = await findAdapter({ adapter: wanted });
  const gpu = { requestAdapter: () => Promise.resolve(adapter), getPreferredCanvasFormat: () => 'bgra8unorm' };
  const value = { gpu, userAgent: 'Node', hardwareConcurrency: 1 };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  return name;
}

/** Other sums of the same numbers, and losses after some steps of Adam, whose quotients amplify them. */
const TOLERANCE = 1e-3;

/** As the library comes, and with the sleep that trimap's own wait has, from which any library on Dawn gains. */
export const WAITS: Mode[] = [
  { name: '', tolerance: TOLERANCE },
  { name: 'sleeping wait', tolerance: TOLERANCE, sameJob: true },
];

/** For what is not timed. */
export const SLEEPING = 1;

export const waitIn = <T>(mode: number, promise: Promise<T>): Promise<T> =>
  mode === SLEEPING ? idle(promise) : promise;

/** A function that throws the first error that the device has reported: a library may go on without the work. */
export function watch(device: GPUDevice): () => void {
  let failure: string | undefined;
  device.addEventListener('uncapturederror', (event) => {
    failure ??= (event as GPUUncapturedErrorEvent).error.message;
  });
  return () => {
    if (failure !== undefined) throw new Error(`the device reports: ${failure.split('\n')[0]}`);
  };
}
