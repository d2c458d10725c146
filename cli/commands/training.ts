/** Commands that make runs. */
import { evenNumber, folderName, number, oneOf, text, wholeNumber } from '../arguments.js';
import { command } from './define.js';
import {
  adapter,
  borders,
  checkpointActivations,
  dataPath,
  flag,
  json,
  jsonLines,
  lossNames,
  model,
  networkNames,
  onBadFile,
  precision,
  quiet,
  tune,
} from './flags.js';

const train = command({
  name: 'train',
  describe: 'train a network; without --data-path on a sample that is drawn on the spot',
  example: ['train --data-path pets --net resnet34-unet --epochs 10', 'train on your photos'],
  flags: {
    'data-path': dataPath,
    split: flag("file of names for training, validation and test, such as a run's split.json", text('--split')),
    recipe: flag('training of one of the reports: report0 to report4; other flags override it', text('--recipe')),
    config: flag("file of settings, such as a run's settings.json; other flags override it", text('--config')),
    'print-config': { describe: 'print the resolved settings and do nothing else', boolean: true },
    net: flag(`network [unet]: ${networkNames.join(', ')}`, oneOf('--net', networkNames)),
    epochs: flag('passes over the training photos [30; drawn sample 10]', wholeNumber('--epochs', 1), { alias: 'e' }),
    'batch-size': flag('photos of an update [8; drawn sample 4]', wholeNumber('--batch-size', 1), { alias: 'b' }),
    'micro-batches': flag(
      'parts that a batch is run in one after the other; auto: the fewest that fit the memory [auto]',
      (value) => (value === 'auto' ? 'auto' : wholeNumber('--micro-batches', 1)(value)),
    ),
    'memory-budget': flag('GiB that auto may fill [the largest buffer of the adapter]', number('--memory-budget', 0)),
    'learning-rate': flag('learning rate [0.001]', number('--learning-rate', 0), { alias: 'lr' }),
    loss: flag(`loss [bce-dice]: ${lossNames.join(', ')}`, oneOf('--loss', lossNames)),
    optimizer: flag(
      'optimizer [adam]: sgd, adam, adamw, radam',
      oneOf('--optimizer', ['sgd', 'adam', 'adamw', 'radam']),
    ),
    schedule: flag(
      'of the learning rate [constant]: constant, cosine, polynomial or plateau; others by --config',
      oneOf('--schedule', ['constant', 'cosine', 'polynomial', 'plateau']),
    ),
    ema: flag(
      'decay of a moving average of the weights, which is then validated and kept as best; 0: none [0]',
      number('--ema', 0, { inclusive: true }),
    ),
    'early-stopping': flag(
      'epochs without a better validation Dice after which training stops; 0: never [0]',
      wholeNumber('--early-stopping', 0),
    ),
    border: flag('border pixels of trimaps: pet, background or ignore [pet]', oneOf('--border', borders)),
    'check-numerics': {
      describe: 'look for values that are not finite after every op, and name the first',
      boolean: true,
    },
    precision: precision('f32'),
    'no-fuse': { describe: 'plain plans: every op of the net is a pass over memory of its own', boolean: true },
    'checkpoint-activations': checkpointActivations,
    'clip-norm': flag(
      'largest global norm of the gradients, 0 for any [1]',
      number('--clip-norm', 0, { inclusive: true }),
    ),
    size: flag('height and width of the images in training, pixels [256; drawn sample 64]', wholeNumber('--size', 16)),
    'base-width': flag('channels of the first level, even [64; drawn sample 8]', evenNumber('--base-width')),
    seed: flag('of weights, batches and augmentations [42]', wholeNumber('--seed', 0)),
    model: model('weights to start from (safetensors)'),
    name: flag("name of the run's folder in runs/; a number is added when it is taken [the net's name]", folderName),
    run: flag('folder for everything the run writes, instead of runs/NAME', text('--run')),
    'save-every': flag(
      'seconds after which the last checkpoint is written within an epoch: what a crash loses at most [300]',
      number('--save-every', 0),
    ),
    tune,
    tensorboard: { describe: "write TensorBoard's event files into the run's folder, too", boolean: true },
    'dry-run': {
      describe: 'load, build, do a few steps; print memory, speed and how long it would take; write nothing',
      boolean: true,
    },
    'on-bad-file': onBadFile,
    adapter,
    quiet,
    json: jsonLines,
  },
  run: async (given) => (await import('../train.js')).train(given),
});

const resume = command({
  name: 'resume <run>',
  describe: 'go on with a run that was stopped; ends as if it had never been',
  example: ['resume runs/unet', 'go on where the run was stopped'],
  flags: {
    epochs: flag(
      'more epochs than the run was started with; a schedule that ends with the run ends with the new end',
      wholeNumber('--epochs', 1),
      { alias: 'e' },
    ),
    'data-path': flag('where the same photos are now [where they were]', text('--data-path')),
    adapter,
    quiet,
    json: jsonLines,
  },
  places: { run: { describe: "the run's folder", type: 'string', demandOption: true } },
  run: async (given) => (await import('../train.js')).resume(given),
});

const runs = command({
  name: 'runs [folder]',
  describe: 'list the runs in a folder: epochs done, best and test Dice, whether they are finished',
  example: ['runs', 'list what is in runs/'],
  flags: { json },
  places: { folder: { describe: 'folder that holds runs', type: 'string', default: 'runs' } },
  run: async (given) => (await import('../runs.js')).runs(given),
});

export const trainingCommands = [train, resume, runs];
