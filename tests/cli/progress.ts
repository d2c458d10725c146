import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { duration, Progress, table } from '../../cli/progress.js';

const test = suite('cli/progress');

/** What was written to an output of this kind. */
function record(isTTY: boolean, environment: NodeJS.ProcessEnv, use: (progress: Progress) => void): string {
  let text = '';
  use(new Progress({ isTTY, columns: 40, write: (part) => (text += part) }, environment));
  return text;
}

const wait = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

test('a terminal gets a bar that never wraps and is taken away', () => {
  const text = record(true, {}, (progress) => {
    wait(110);
    progress.update('epoch 1/2', 5, 10, () => ['loss 0.5000', 'much more than fits into the line']);
    progress.line('done');
  });
  const [bar] = text.split('\r\x1b[K').slice(1);
  assert.ok(bar.startsWith('epoch 1/2 [##########----------] 5/10'), bar);
  assert.ok(bar.length < 40);
  assert.ok(text.endsWith('\r\x1b[Kdone\n'));
});

test('a log gets lines only, few of them, and details are not made in vain', () => {
  for (const [isTTY, environment] of [
    [false, {}],
    [true, { CI: 'true' }],
    [true, { TERM: 'dumb' }],
  ] as const) {
    const text = record(isTTY, environment, (progress) => {
      progress.line('first');
      wait(110);
      for (let i = 0; i < 100; i++) progress.update('epoch', i, 100, () => assert.unreachable() as never);
      progress.line('last');
    });
    assert.is(text, 'first\nlast\n');
  }
});

test('durations and tables', () => {
  assert.equal([0.4, 59, 200, 7500].map(duration), ['0 s', '59 s', '3 min 20 s', '2 h 5 min']);
  assert.is(
    table([
      ['', 'Dice'],
      ['valid', '0.9'],
    ]),
    '       Dice\nvalid   0.9',
  );
});

test.run();
