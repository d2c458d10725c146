import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { duration, Progress, table } from '../../cli/progress.js';

const test = suite('cli/progress');

type Made = { isTTY?: boolean; columns?: number; quiet?: boolean; environment?: NodeJS.ProcessEnv };

/** What was written to an output of this kind. */
function record(
  { isTTY = true, columns = 40, quiet, environment = {} }: Made,
  use: (progress: Progress) => void,
): string {
  let text = '';
  use(new Progress({ isTTY, columns, write: (part) => (text += part) }, { quiet, environment }));
  return text;
}

const wait = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

const DETAILS = ['loss 0.5000', 'Dice 0.8000', 'much more than fits into the line'];

/** The bar as it is drawn at this width. */
function bar(columns: number, environment: NodeJS.ProcessEnv = { NO_COLOR: '1' }): string {
  const text = record({ columns, environment }, (progress) => {
    wait(110);
    progress.update('epoch 1/2', 5, 10, () => DETAILS);
    progress.line('done');
  });
  assert.ok(text.endsWith('\r\x1b[Kdone\n'));
  return text.split('\r\x1b[K')[1];
}

test('a terminal gets a bar that never wraps and is taken away', () => {
  assert.is(bar(120), `epoch 1/2 [${'#'.repeat(15)}${'-'.repeat(15)}] 5/10  ${DETAILS.join('  ')}`);
  assert.is(bar(56), 'epoch 1/2 [######------] 5/10  loss 0.5000  Dice 0.8000');
  assert.is(bar(40), 'epoch 1/2 [#####----] 5/10  loss 0.5000');
  assert.is(bar(30), 'epoch 1/2 5/10  loss 0.5000');
  assert.is(bar(10), 'epoch 1/2');
});

test('colours on a terminal alone, and none where NO_COLOR is set to anything', () => {
  const coloured = bar(120, {});
  assert.ok(coloured.includes('\x1b[32m###'), coloured);
  assert.is(coloured.replace(/\x1b\[\d+m/g, ''), bar(120));
  const warning = (made: Made) => record(made, (progress) => progress.warning('look'));
  assert.is(warning({}), '\x1b[33mwarning: look\x1b[0m\n');
  assert.is(warning({ environment: { NO_COLOR: '' } }), warning({}));
  for (const made of [{ isTTY: false }, { environment: { NO_COLOR: '1' } }, { environment: { TERM: 'dumb' } }]) {
    assert.is(warning(made), 'warning: look\n');
  }
});

test('a log gets lines only, few of them, and details are not made in vain', () => {
  for (const made of [{ isTTY: false }, { environment: { CI: 'true' } }, { environment: { TERM: 'dumb' } }]) {
    const text = record(made, (progress) => {
      progress.line('first');
      wait(110);
      for (let i = 0; i < 100; i++) progress.update('epoch', i, 100, () => assert.unreachable() as never);
      progress.line('last');
    });
    assert.is(text, 'first\nlast\n');
  }
});

test('--quiet leaves results and warnings, and a log still gets every line without colours', () => {
  const logged: string[] = [];
  const text = record({ quiet: true }, (progress) => {
    progress.onLine = (line) => logged.push(line);
    progress.line('by the way');
    wait(110);
    progress.update('epoch', 1, 2);
    progress.warning('look');
    progress.result('0.9');
  });
  assert.is(text, '\x1b[33mwarning: look\x1b[0m\n0.9\n');
  assert.equal(logged, ['by the way', 'warning: look', '0.9']);
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
