import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Evaluator } from '../../cli/evaluation.js';
import { type EpochEvent, Observers, type RunEnd, type RunStart, type StepEvent } from '../../cli/observers.js';
import { Progress } from '../../cli/progress.js';

const test = suite('cli/observers');

test('all are told in turn; an error of one is said, and keeps nobody else and nothing later away', async () => {
  let shown = '';
  const progress = new Progress({ write: (text) => (shown += text) });
  const heard: string[] = [];
  const evaluator = {} as Evaluator;
  const best = {} as Evaluator;
  const run = { progress, evaluator } as RunStart;
  const observers = new Observers(
    [
      {
        name: 'curves',
        started: () => Promise.reject(new Error('no font')),
        step: () => {
          throw new Error('no ink');
        },
        epoch: () => void heard.push('curves epoch'),
      },
      {
        name: 'report',
        started: ({ evaluator: given }) => void heard.push(`report started ${given === evaluator}`),
        step: (_, { step }) => void heard.push(`report step ${step}`),
        epoch: async (_, { isBest }) => void heard.push(`report epoch ${isBest}`),
        finished: ({ evaluator: given }) => void heard.push(`report finished ${given === best}`),
        stopped: () => void heard.push('report stopped'),
      },
    ],
    run,
  );
  await observers.started();
  observers.step({ step: 7 } as StepEvent);
  await observers.epoch({ isBest: true } as EpochEvent);
  await observers.stopped();
  await observers.finished({} as RunEnd, best);
  assert.equal(heard, [
    'report started true',
    'report step 7',
    'curves epoch',
    'report epoch true',
    'report stopped',
    'report finished true',
  ]);
  assert.is(shown, 'warning: curves: no font; the run goes on\nwarning: curves: no ink; the run goes on\n');
});

test.run();
