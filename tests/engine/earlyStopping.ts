import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EarlyStopping } from '../../engine/earlyStopping.js';

const test = suite('early stopping');

test('stops after as many scores without improvement as patience says', () => {
  const stopping = new EarlyStopping({ patience: 2, minimumImprovement: 0 });
  assert.equal(
    [0.5, 0.6, 0.6, 0.61, 0.5, 0.61].map((score) => stopping.observe(score)),
    [false, false, false, false, false, true],
  );
  assert.is(stopping.stopped, true);
});

test('a score has to be better by more than the minimum', () => {
  const stopping = new EarlyStopping({ patience: 2, minimumImprovement: 0.1, mode: 'min' });
  assert.equal(
    [1, 0.95, 0.85, 0.8, 0.76].map((score) => stopping.observe(score)),
    [false, false, false, false, true],
  );
  assert.equal(stopping.state, { best: 0.85, bad: 2 });
});

test('what is not a number is no improvement, not even at first', () => {
  const stopping = new EarlyStopping({ patience: 3, minimumImprovement: 0 });
  assert.equal(
    [NaN, NaN, 0.1, NaN].map((score) => stopping.observe(score)),
    [false, false, false, false],
  );
  assert.equal(stopping.state, { best: 0.1, bad: 1 });
});

test('goes on from its state', () => {
  const settings = { patience: 2, minimumImprovement: 0 };
  const one = new EarlyStopping(settings);
  one.observe(0.5);
  one.observe(0.4);
  const two = new EarlyStopping(settings);
  two.state = JSON.parse(JSON.stringify(one.state));
  assert.is(two.stopped, false);
  assert.is(two.observe(0.45), true);
});

test('settings that cannot be are refused by key', () => {
  const minimumImprovement = 0;
  assert.throws(
    () => new EarlyStopping({ patience: 0, minimumImprovement }),
    /^earlyStopping\.patience: 0 is not a whole number/,
  );
  assert.throws(
    () => new EarlyStopping({ patience: 2, minimumImprovement: -1 }),
    /^earlyStopping\.minimumImprovement: -1 is not/,
  );
});

test.run();
