/** `trimap bench WHAT`. */
import { evenNumber, oneOf, text, wholeNumber } from '../arguments.js';
import { command, type CommandGroup } from './define.js';
import { adapter, checkpointActivations, flag, json, networkNames, precision, tune } from './flags.js';

const measuring = {
  rounds: flag('how often each work is timed [5]', wholeNumber('--rounds', 1)),
  compare: flag('older output of --json: the ratio of each row to it, regressions first', text('--compare')),
  adapter,
  json: { ...json, describe: 'print one JSON object a row and line' },
} as const;

const sizes = {
  size: flag('height and width of the images, pixels [128]', wholeNumber('--size', 32)),
  'base-width': flag('channels of the first level, even [16]', evenNumber('--base-width')),
  'batch-size': flag('images of a step [4]', wholeNumber('--batch-size', 1), { alias: 'b' }),
} as const;

const kernels = command({
  name: 'kernels',
  describe: 'every different call of a training step of both nets, convolutions checked against the plain kernels',
  example: ['bench kernels --filter conv2d', 'the convolutions alone'],
  flags: {
    filter: flag('only works with this word in their name or shape', text('--filter')),
    'all-variants': {
      describe: 'convolutions in every form that the adapter can run, not only the one that it would choose',
      boolean: true,
    },
    precision: precision('f32'),
    tune,
    ...sizes,
    ...measuring,
  },
  epilogue:
    'Value, median and worst of the rounds by the clock, gpu by the timestamps of the adapter; GFLOP/s, or GB/s of ' +
    'inputs and outputs moved once; fraction: of the rate that the ceilings of this run allow, above 1 where caches hold it all; error: largest ' +
    'difference to the plain kernels, as a part of the largest value.',
  run: async (given) => (await import('../bench.js')).kernels(given),
});

const step = command({
  name: 'step',
  describe: 'whole training and inference steps of a network',
  example: ['bench step --net resnet34-unet --profile trace.json', 'which ops of a step take the time'],
  flags: {
    net: flag(`network [unet]: ${networkNames.join(', ')}`, oneOf('--net', networkNames)),
    profile: flag(
      'print which ops of the training step take the time, and write a Chrome trace to this file',
      text('--profile'),
    ),
    'skip-compile': { describe: 'leave out how long compiling takes', boolean: true },
    precision: precision('f32'),
    memory: { describe: 'print the memory of the training step by tensor', boolean: true },
    'checkpoint-activations': checkpointActivations,
    tune,
    ...sizes,
    ...measuring,
  },
  run: async (given) => (await import('../bench.js')).step(given),
});

const data = command({
  name: 'data',
  describe: 'decoding, cache, batches and augmentation, each alone',
  example: ['bench data --data-path pets --size 256', 'how fast your photos reach the net'],
  flags: {
    'data-path': flag('data set [photos drawn for this, 300 to 500 pixels a side]', text('--data-path')),
    photos: flag('photos that take part [64]', wholeNumber('--photos', 1)),
    size: sizes.size,
    'batch-size': sizes['batch-size'],
    ...measuring,
  },
  run: async (given) => (await import('../bench.js')).data(given),
});

const peers = command({
  name: 'peers',
  describe: 'convolutions and steps of both nets beside TensorFlow.js, jax-js (WebGPU, same adapter) and PyTorch',
  example: ['bench peers --install --filter train', 'a training step on every engine; installs two of them first'],
  flags: {
    filter: flag('only works with this word in their name or shape', text('--filter')),
    only: flag('only engines with this word in their name, such as jax', text('--only')),
    install: {
      describe: 'let npm put TensorFlow.js and jax-js into bench/peers/node_modules first',
      boolean: true,
    },
    python: flag('interpreter that is asked for PyTorch [python3]', text('--python')),
    precision: flag('f16: trimap also with images in f16 [f32]', oneOf('--precision', ['f32', 'f16'])),
    ...sizes,
    ...measuring,
    rounds: flag('how often each work is timed [3]', wholeNumber('--rounds', 1)),
  },
  epilogue:
    "Ratio: how many times as fast trimap's median is; error: largest difference to trimap's result, as a part of the " +
    'largest value. Libraries on Dawn are timed as they come and with the sleeping wait that trimap has.',
  run: async (given) => (await import('../bench.js')).peers(given),
});

export const benchCommands: CommandGroup = {
  name: 'bench',
  describe: 'measure what the adapter and this machine do in a second',
  commands: [kernels, step, data, peers],
};
