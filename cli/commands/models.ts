/** Commands that use what runs have made. */
import { oneOf, probability, text, wholeNumber } from '../arguments.js';
import { command } from './define.js';
import { adapter, borders, flag, json, model, onBadFile, precision, quiet } from './flags.js';

const evaluate = command({
  name: 'evaluate',
  describe: 'measure saved weights on one split of a data set',
  example: ['evaluate --model runs/unet/best.safetensors --split test', 'the scores on the test photos'],
  flags: {
    model: model('checkpoint, such as runs/unet/best.safetensors'),
    split: flag('train, valid or test [valid]', oneOf('--split', ['train', 'valid', 'test'])),
    'data-path': flag('data set [the one of the training]', text('--data-path')),
    'batch-size': flag('photos a step [that of the training]', wholeNumber('--batch-size', 1), { alias: 'b' }),
    threshold: flag(
      'probability above which a pixel is foreground; auto: the best for the validation photos [0.5]',
      (value) => (value === 'auto' ? 'auto' : probability('--threshold', ', or auto')(value)),
    ),
    border: flag(
      'border pixels of trimaps: pet, background or ignore [as in the training]',
      oneOf('--border', borders),
    ),
    precision: precision('that of the training'),
    'legacy-metrics': { describe: "also the reports' own scores, under names of their own", boolean: true },
    'on-bad-file': onBadFile,
    adapter,
    quiet,
    json,
  },
  run: async (given) => (await import('../evaluate.js')).evaluate(given),
});

const predict = command({
  name: 'predict <photos..>',
  describe: 'write masks and overlays of photos, each at its own size',
  example: ['predict --model runs/unet/best.safetensors holiday/ --output masks', 'every photo below holiday/'],
  places: {
    photos: {
      describe: 'photos, or folders that are searched for photos',
      type: 'string',
      array: true,
      demandOption: true,
    },
  },
  flags: {
    model: model('checkpoint, such as runs/unet/best.safetensors'),
    output: flag('folder for masks/ and overlays/ [predictions]', text('--output')),
    threshold: flag('probability above which a pixel is foreground [0.5]', probability('--threshold')),
    precision: precision('that of the training'),
    'on-bad-file': onBadFile,
    adapter,
    quiet,
  },
  run: async (given) => (await import('../predict.js')).predict(given),
});

const serve = command({
  name: 'serve <run>',
  describe: "show a run's report in the browser, up to date while it trains; on this machine only",
  example: ['serve runs/unet', 'prints the address; Ctrl-C ends it'],
  places: { run: { describe: "the run's folder", type: 'string', demandOption: true } },
  flags: { port: flag('of the address; 0 for any that is free [8765]', wholeNumber('--port', 0)) },
  run: async (given) => (await import('../serve.js')).serve(given),
});

const compare = command({
  name: 'compare <runs..>',
  describe: 'compare two or more finished runs: table, curves, photo against photo, and an interval of the difference',
  example: ['compare runs/unet runs/resnet34-unet', 'which net is better, and whether the photos can tell'],
  places: {
    runs: {
      describe: 'folders of runs; the others are compared with the first',
      type: 'string',
      array: true,
      demandOption: true,
    },
  },
  flags: {
    output: flag('page to write [comparison.html]', text('--output')),
    adapter,
    quiet,
    json,
  },
  run: async (given) => (await import('../compare/command.js')).compare(given),
});

export const modelCommands = [evaluate, predict, compare, serve];
