/** Commands about the adapter and the networks' layers. */
import { evenNumber, oneOf, text, wholeNumber } from '../arguments.js';
import { command } from './define.js';
import { adapter, flag, json, networkNames, quiet } from './flags.js';

const info = command({
  name: 'info',
  describe: 'show the adapter in use, its limits and features, and the versions of everything; with --net a network',
  example: ['info --net resnet34-unet --size 512', 'layers, shapes, parameters and multiply-adds'],
  flags: {
    net: flag(`show the layers of this network instead: ${networkNames.join(', ')}`, oneOf('--net', networkNames)),
    'base-width': flag('with --net: channels of the first level, even [64]', evenNumber('--base-width')),
    size: flag('with --net: height and width of the image [256]', wholeNumber('--size', 1)),
    classes: flag("with --net: channels of the logits [1; 2 for report 0's]", wholeNumber('--classes', 1)),
    adapter,
    json,
  },
  run: async (given) => (await import('../info.js')).info(given),
});

const doctor = command({
  name: 'doctor',
  describe: 'whether this machine can train: Node, adapter, memory, folders, data; for each problem what solves it',
  example: ['doctor --data-path pets', 'look at the photos, too'],
  flags: {
    'data-path': flag('data set to look at [oxford-iiit-pet, where it exists]', text('--data-path')),
    adapter,
    quiet,
    json: { ...json, describe: 'print one JSON object a finding and line' },
  },
  epilogue: 'The exit code is that of the first problem: 1 Node or a folder, 3 the data, 4 the adapter.',
  run: async (given) => (await import('../doctor.js')).doctor(given),
});

const verify = command({
  name: 'verify',
  describe: 'compare this adapter with reference values; fails if any case is out of its tolerance',
  example: ['verify --json > cases.jsonl', 'a line a case, to send with a report of a broken driver'],
  flags: {
    golden: flag('folder with index.json and the cases [those that come with the package]', text('--golden')),
    'all-variants': {
      describe: 'every case once for each kernel family, way of loading, register tile, and without fusion',
      boolean: true,
    },
    adapter,
    quiet,
    json: { ...json, describe: 'print one JSON object a case and line' },
  },
  epilogue:
    'JSON: variant (what --all-variants forced), name, kind, op, pass (null: a form that is not offered), worst (largest error as a ratio to its ' +
    'tolerance; null where a value is missing or not a number), tensor (where that was), error (why the case ' +
    'could not be judged).',
  run: async (given) => (await import('../verify.js')).verify(given),
});

export const machineCommands = [doctor, info, verify];
