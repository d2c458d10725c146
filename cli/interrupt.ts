/** Stopping at a good moment: the first Ctrl-C (or SIGTERM) asks, a second one ends the process at once. */

// npm may pass on the signal that the terminal has sent to the whole group already.
const SAME_PRESS_MS = 500;

export class StopRequest {
  private askedAt?: number;

  constructor(private readonly onRequest: () => void) {
    process.on('SIGINT', this.handle);
    process.on('SIGTERM', this.handle);
  }

  get requested(): boolean {
    return this.askedAt !== undefined;
  }

  private readonly handle = (): void => {
    if (this.askedAt === undefined) {
      this.askedAt = performance.now();
      this.onRequest();
    } else if (performance.now() - this.askedAt > SAME_PRESS_MS) {
      process.exit(130);
    }
  };

  /** Signals end the process again. */
  dispose(): void {
    process.off('SIGINT', this.handle);
    process.off('SIGTERM', this.handle);
  }
}

/** A signal that nobody else waits for ends the process with the code that README promises; shells see it by default, programs not. */
export function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (process.listenerCount(signal) > 1) return;
      console.error('interrupted');
      process.exit(130);
    });
  }
}
