/** Commands about data sets. */
import { text, wholeNumber } from '../arguments.js';
import { command } from './define.js';
import { adapter, dataPath, flag, json, onBadFile, quiet, splitSeed } from './flags.js';

const augment = command({
  name: 'augment',
  describe:
    'draw photos of the training split with their masks as the network sees them; without --data-path of a sample',
  example: ['augment --data-path pets --recipe report4 --n 8', "eight photos as report 4's training sees them"],
  flags: {
    'data-path': dataPath,
    recipe: flag('augmentation, size and seed of a report: report0 to report4', text('--recipe')),
    config: flag("the same of a file of settings, such as a run's settings.json", text('--config')),
    n: flag('photos, a row each [16]', wholeNumber('--n', 1)),
    size: flag('height and width of the pictures, pixels [256; drawn sample 64]', wholeNumber('--size', 16)),
    seed: flag('of the augmentations [42]', wholeNumber('--seed', 0)),
    output: flag('PNG file to write [augmentation.png]', text('--output')),
    'on-bad-file': onBadFile,
    adapter,
    quiet,
  },
  run: async (given) => (await import('../contactSheet.js')).contactSheet(given),
});

const stats = command({
  name: 'stats',
  describe: "mean and deviation of the training photos' channels, shares of the mask values, sizes",
  example: ['stats --data-path pets', 'the numbers to normalise your photos with'],
  flags: { 'data-path': dataPath, seed: splitSeed, 'on-bad-file': onBadFile, quiet, json },
  run: async (given) => (await import('../stats.js')).stats(given),
});

const check = command({
  name: 'check',
  describe: 'look at every file of a data set and list what is wrong; fails if anything is',
  example: ['check --data-path pets', 'look the data set over before a long training'],
  flags: { 'data-path': dataPath, seed: splitSeed, quiet, json },
  run: async (given) => (await import('../check.js')).check(given),
});

const download = command({
  name: 'download',
  describe: 'fetch and unpack the Oxford-IIIT Pet photos and trimaps (0.8 GB); goes on where it was stopped',
  example: ['download --output pets', 'get the photos into the folder pets'],
  flags: {
    url: flag("address of a folder with the two archives [the data set's own site]", text('--url')),
    output: flag('folder for the data set [oxford-iiit-pet]', text('--output')),
    quiet,
  },
  run: async (given) => (await import('../download.js')).download(given),
});

export const photoCommands = [augment, stats, check, download];
