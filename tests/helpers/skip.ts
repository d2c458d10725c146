/**
 * Skipping a test for a reason that shows only while it runs: a feature that the device lacks, a data set that is not
 * there. (uvu's own `test.skip` takes no reason and drops the name.)
 */

let count = 0;

/**
 * Marks the running test as skipped. The test must return right after it:
 * `if (!device.features.has('shader-f16')) return skip('the adapter has no shader-f16');`
 * @param reason completes "skipped: ..." for a reader of the log
 */
export function skip(reason: string): void {
  count++;
  console.log(`skipped: ${reason}`);
}

/** For the runner: how many tests have called `skip` since the last call (uvu counts them as passed). */
export function takeSkipCount(): number {
  const taken = count;
  count = 0;
  return taken;
}
