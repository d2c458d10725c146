/** Golden values in tests: the op cases in tests/golden, judged as `trimap verify` judges them. */
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import { type GoldenCase, GoldenTensors, readIndex, type Rule } from '../../cli/verify/golden.js';
import { runOpCase } from '../../cli/verify/ops.js';
import type { Device } from '../../engine/device.js';
import type { Dtype } from '../../engine/layout.js';

/** Cases copied from the whole directory; see tests/golden/README.md. */
export const goldenDirectory = fileURLToPath(new URL('../../../tests/golden/', import.meta.url));

export const goldenCases = (op: string): GoldenCase[] => readIndex(goldenDirectory).filter((c) => c.op === op);

/** Runs an op case and fails with every tensor that is out of tolerance: the case's own, or that of `options.rule`. */
export async function checkOpCase(
  device: Device,
  golden: GoldenCase,
  options: { dtype?: Dtype; rule?: Rule } = {},
): Promise<void> {
  const verdicts = await runOpCase(device, new GoldenTensors(goldenDirectory, golden), options);
  assert.ok(verdicts.length > 0, `${golden.name} compares nothing`);
  const wrong = verdicts.filter(({ ratio }) => !(ratio <= 1));
  assert.is(
    wrong.map(({ tensor, ratio, where }) => `${tensor}: ${ratio} times the tolerance, ${where}`).join('\n'),
    '',
  );
}
