/**
 * The command line. Flags are checked here; a command's module, and with it the engine, is loaded only when the command
 * runs, so that the first line appears at once.
 *
 * Exit codes: 0 done, 1 a check failed or something unexpected, 2 the command line, 3 the data, 4 the device,
 * 130 interrupted.
 */
import { createRequire } from 'node:module';
import yargs, { type Argv, type Options } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { DataError } from '../data/errors.js';
import { DeviceError } from '../engine/device.js';
import { SettingsError } from '../engine/settings.js';
import { losses, type LossName } from '../nets/losses.js';
import { networks, type NetworkName } from '../nets/networks.js';
import { closest, number, oneOf, probability, text, wholeNumber } from './arguments.js';
import { Interrupted, RunError, UsageError } from './errors.js';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

/** A flag with one checked value. */
function flag<T>(describe: string, check: (value: unknown) => T, extra: Options = {}) {
  // The type says what the check gives, or nothing where the flag is absent.
  return {
    describe,
    string: true,
    requiresArg: true,
    coerce: check as (value: unknown) => T | undefined,
    ...extra,
  } as const;
}

const names = Object.keys(networks) as NetworkName[];
const lossNames = Object.keys(losses) as LossName[];
const borders = ['pet', 'background', 'ignore'] as const;
const adapter = flag('part of the name of the WebGPU adapter to use', text('--adapter'));
const onBadFile = flag(
  'files that cannot be read: stop with an error that names them, or skip them [stop]',
  oneOf('--on-bad-file', ['stop', 'skip']),
);
const dataPath = flag(
  'data set: the Oxford-IIIT Pet folder, or any folder with images/ and masks/',
  text('--data-path'),
);
const splitSeed = flag('of the split of a folder that has none of its own [42]', wholeNumber('--seed', 0));
const checkpointActivations = {
  describe: 'less memory: compute batch norm, ReLU and the like again for the gradients instead of keeping them',
  boolean: true,
} as const;
const json = { describe: 'print JSON instead of text', boolean: true, default: false } as const;
const model = (describe: string) => flag(describe, text('--model'));

/** What the chosen command does; gives the exit code. */
let chosen: (() => Promise<number>) | undefined;
/** Every flag of the chosen command, for suggestions. */
let known: string[] = [];

function options<T extends Record<string, Options>>(flags: T): T {
  known = Object.entries(flags).flatMap(([name, { alias }]) => [name, ...(typeof alias === 'string' ? [alias] : [])]);
  return flags;
}

function parse(argv: readonly string[]): unknown {
  return yargs([...argv])
    .scriptName('trimap')
    .usage('$0 COMMAND [flags]\n\nTrains networks that tell an object from its background, on any WebGPU adapter.')
    .command(
      'train',
      'train a network; without --data-path on a sample that is drawn on the spot',
      (y) =>
        y.options(
          options({
            'data-path': dataPath,
            recipe: flag(
              'training of one of the reports: report0 to report4; other flags override it',
              text('--recipe'),
            ),
            config: flag("file of settings, such as a run's settings.json; other flags override it", text('--config')),
            'print-config': { describe: 'print the resolved settings and do nothing else', boolean: true },
            net: flag(`network [unet]: ${names.join(', ')}`, oneOf('--net', names)),
            epochs: flag('passes over the training photos [30; drawn sample 10]', wholeNumber('--epochs', 1), {
              alias: 'e',
            }),
            'batch-size': flag('photos of an update [8; drawn sample 4]', wholeNumber('--batch-size', 1), {
              alias: 'b',
            }),
            'micro-batches': flag(
              'parts that a batch is run in one after the other; auto: the fewest that fit the memory [auto]',
              (value) => (value === 'auto' ? 'auto' : wholeNumber('--micro-batches', 1)(value)),
            ),
            'memory-budget': flag(
              'GiB that auto may fill [the largest buffer of the adapter]',
              number('--memory-budget', 0),
            ),
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
            'no-fuse': { describe: 'plain plans: every op of the net is a pass over memory of its own', boolean: true },
            'checkpoint-activations': checkpointActivations,
            'clip-norm': flag(
              'largest global norm of the gradients, 0 for any [1]',
              number('--clip-norm', 0, { inclusive: true }),
            ),
            size: flag(
              'height and width of the images in training, pixels [256; drawn sample 64]',
              wholeNumber('--size', 16),
            ),
            'base-width': flag('channels of the first level, even [64; drawn sample 8]', evenNumber('--base-width')),
            seed: flag('of weights, batches and augmentations [42]', wholeNumber('--seed', 0)),
            model: model('weights to start from (safetensors)'),
            run: flag('folder for everything the run writes [runs/1, runs/2, ...]', text('--run')),
            resume: flag('folder of a stopped run to go on with; --epochs may be raised', text('--resume')),
            'on-bad-file': onBadFile,
            adapter,
          }),
        ),
      (args) => {
        chosen = async () => (await import('./train.js')).train(args);
      },
    )
    .command(
      'evaluate',
      'measure saved weights on one split of a data set',
      (y) =>
        y.options(
          options({
            model: model('checkpoint, such as runs/1/best.safetensors'),
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
            'legacy-metrics': { describe: "also the reports' own scores, under names of their own", boolean: true },
            'on-bad-file': onBadFile,
            adapter,
            json,
          }),
        ),
      (args) => {
        chosen = async () => (await import('./evaluate.js')).evaluate(args);
      },
    )
    .command(
      'predict <photos..>',
      'write masks and overlays of photos, each at its own size',
      (y) =>
        y
          .positional('photos', {
            describe: 'photos, or folders that are searched for photos',
            type: 'string',
            array: true,
            demandOption: true,
          })
          .options(
            options({
              model: model('checkpoint, such as runs/1/best.safetensors'),
              output: flag('folder for masks/ and overlays/ [predictions]', text('--output')),
              threshold: flag('probability above which a pixel is foreground [0.5]', probability('--threshold')),
              'on-bad-file': onBadFile,
              adapter,
            }),
          ),
      (args) => {
        chosen = async () => (await import('./predict.js')).predict(args);
      },
    )
    .command(
      'info',
      'show the adapter in use, its limits and features, and the versions of everything; with --net a network',
      (y) =>
        y.options(
          options({
            net: flag(`show the layers of this network instead: ${names.join(', ')}`, oneOf('--net', names)),
            'base-width': flag('with --net: channels of the first level, even [64]', evenNumber('--base-width')),
            size: flag('with --net: height and width of the image [256]', wholeNumber('--size', 1)),
            classes: flag("with --net: channels of the logits [1; 2 for report 0's]", wholeNumber('--classes', 1)),
            adapter,
            json,
          }),
        ),
      (args) => {
        chosen = async () => (await import('./info.js')).info(args);
      },
    )
    .command(
      'verify',
      'compare this adapter with reference values; fails if any case is out of its tolerance',
      (y) =>
        y
          .options(
            options({
              golden: flag('folder with index.json and the cases [those that come with the package]', text('--golden')),
              adapter,
              json: { ...json, describe: 'print one JSON object a case and line' },
            }),
          )
          .epilogue(
            'JSON: name, kind, op, pass (null: a form that is not offered), worst (largest error as a ratio to its ' +
              'tolerance; null where a value is missing or not a number), tensor (where that was), error (why the case ' +
              'could not be judged).',
          ),
      (args) => {
        chosen = async () => (await import('./verify.js')).verify(args);
      },
    )
    .command(
      'augment',
      'draw photos of the training split with their masks as the network sees them; without --data-path of a sample',
      (y) =>
        y.options(
          options({
            'data-path': dataPath,
            recipe: flag('augmentation, size and seed of a report: report0 to report4', text('--recipe')),
            config: flag("the same of a file of settings, such as a run's settings.json", text('--config')),
            n: flag('photos, a row each [16]', wholeNumber('--n', 1)),
            size: flag('height and width of the pictures, pixels [256; drawn sample 64]', wholeNumber('--size', 16)),
            seed: flag('of the augmentations [42]', wholeNumber('--seed', 0)),
            output: flag('PNG file to write [augmentation.png]', text('--output')),
            'on-bad-file': onBadFile,
            adapter,
          }),
        ),
      (args) => {
        chosen = async () => (await import('./contactSheet.js')).contactSheet(args);
      },
    )
    .command(
      'stats',
      "mean and deviation of the training photos' channels, shares of the mask values, sizes",
      (y) => y.options(options({ 'data-path': dataPath, seed: splitSeed, 'on-bad-file': onBadFile, json })),
      (args) => {
        chosen = async () => (await import('./stats.js')).stats(args);
      },
    )
    .command(
      'check',
      'look at every file of a data set and list what is wrong; fails if anything is',
      (y) => y.options(options({ 'data-path': dataPath, seed: splitSeed, json })),
      (args) => {
        chosen = async () => (await import('./check.js')).check(args);
      },
    )
    .command(
      'download',
      'fetch and unpack the Oxford-IIIT Pet photos and trimaps (0.8 GB); goes on where it was stopped',
      (y) =>
        y.options(
          options({
            url: flag("address of a folder with the two archives [the data set's own site]", text('--url')),
            output: flag('folder for the data set [oxford-iiit-pet]', text('--output')),
          }),
        ),
      (args) => {
        chosen = async () => (await import('./download.js')).download(args);
      },
    )
    .command('bench', 'measure what the adapter and this machine do in a second', benchCommands)
    .strict()
    .recommendCommands()
    .demandCommand(
      1,
      1,
      'give a command: train, evaluate, predict, info, verify, augment, stats, check, download or bench',
      'give one command',
    )
    .parserConfiguration({ 'boolean-negation': false })
    .version(version)
    .help()
    .alias('help', 'h')
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw new UsageError(explain(message ?? error.message));
    })
    .parse();
}

const benchFlags = {
  rounds: flag('how often each work is timed [5]', wholeNumber('--rounds', 1)),
  compare: flag('older output of --json: the ratio of each row to it, regressions first', text('--compare')),
  adapter,
  json: { ...json, describe: 'print one JSON object a row and line' },
} as const;

const benchSizes = {
  size: flag('height and width of the images, pixels [128]', wholeNumber('--size', 32)),
  'base-width': flag('channels of the first level, even [16]', evenNumber('--base-width')),
  'batch-size': flag('images of a step [4]', wholeNumber('--batch-size', 1), { alias: 'b' }),
} as const;

function benchCommands(y: Argv): Argv {
  return y
    .command(
      'kernels',
      'every different call of a training step of both nets, convolutions checked against the plain kernels',
      (y) =>
        y
          .options(
            options({
              filter: flag('only works with this word in their name or shape', text('--filter')),
              'all-variants': {
                describe: 'all kernels that the adapter can run, not only those it would choose',
                boolean: true,
              },
              ...benchSizes,
              ...benchFlags,
            }),
          )
          .epilogue(
            'Value, median and worst of the rounds by the clock, gpu by the timestamps of the adapter; GFLOP/s, or GB/s of ' +
              'inputs and outputs moved once; fraction: of the rate that the ceilings of this run allow; error: largest ' +
              'difference to the plain kernels, as a part of the largest value.',
          ),
      (args) => {
        chosen = async () => (await import('./bench.js')).kernels(args);
      },
    )
    .command(
      'step',
      'whole training and inference steps of a network',
      (y) =>
        y.options(
          options({
            net: flag(`network [unet]: ${names.join(', ')}`, oneOf('--net', names)),
            profile: flag(
              'print which ops of the training step take the time, and write a Chrome trace to this file',
              text('--profile'),
            ),
            'skip-compile': { describe: 'leave out how long compiling takes', boolean: true },
            memory: { describe: 'print the memory of the training step by tensor', boolean: true },
            'checkpoint-activations': checkpointActivations,
            ...benchSizes,
            ...benchFlags,
          }),
        ),
      (args) => {
        chosen = async () => (await import('./bench.js')).step(args);
      },
    )
    .command(
      'data',
      'decoding, cache, batches and augmentation, each alone',
      (y) =>
        y.options(
          options({
            'data-path': flag('data set [photos drawn for this, 300 to 500 pixels a side]', text('--data-path')),
            photos: flag('photos that take part [64]', wholeNumber('--photos', 1)),
            size: benchSizes.size,
            'batch-size': benchSizes['batch-size'],
            ...benchFlags,
          }),
        ),
      (args) => {
        chosen = async () => (await import('./bench.js')).data(args);
      },
    )
    .demandCommand(1, 1, 'give what to bench: kernels, step or data', 'give one thing to bench');
}

function evenNumber(name: string): (value: unknown) => number {
  const check = wholeNumber(name, 2);
  return (value) => {
    const width = check(value);
    if (width % 2 !== 0) throw new UsageError(`${name} ${width}: give an even number, such as ${width + 1}`);
    return width;
  };
}

/** What yargs found wrong, in our words, with the flag that was probably meant. */
function explain(message: string): string {
  const guess = /^Did you mean (.*)\?$/.exec(message)?.[1];
  if (guess) return `unknown command; did you mean ${guess}?`;
  const bare = /^Not enough arguments following: (.*)$/.exec(message)?.[1];
  if (bare) return `${bare.length > 1 ? '--' : '-'}${bare} needs a value`;
  const unknown = /^Unknown (?:argument|command)s?: (.*)$/.exec(message)?.[1].split(', ') ?? [];
  if (unknown.length === 0) return message;
  const described = [...new Set(unknown)].map((name) => {
    const near = closest(name, known);
    return near ? `${name} (did you mean --${near}?)` : name;
  });
  return `unknown: ${described.join(', ')}`;
}

/** `--data_path` is `--data-path`; what follows a lone `--` is left alone. */
function withHyphens(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((word, i) =>
    end >= 0 && i >= end ? word : word.replace(/^--[^=]+/, (name) => name.replaceAll('_', '-')),
  );
}

/** Errors that a user can act on, whose message says all, and their exit codes. */
const expected: [kind: abstract new (...args: never[]) => Error, exitCode: number][] = [
  [UsageError, 2],
  [SettingsError, 2],
  [DataError, 3],
  [DeviceError, 4],
  [Interrupted, 130],
  [RunError, 1],
];

/** Says on stderr what went wrong, in one line if it was foreseen, and gives the exit code. */
function report(error: unknown): number {
  const exitCode = expected.find(([kind]) => error instanceof kind)?.[1];
  if (exitCode === undefined) {
    console.error(error);
    return 1;
  }
  const { message } = error as Error;
  console.error(error instanceof Interrupted ? message : `error: ${message}`);
  return exitCode;
}

// `trimap verify --json | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await parse(withHyphens(hideBin(process.argv)));
  process.exitCode = (await chosen?.()) ?? 0;
} catch (error) {
  process.exitCode = report(error);
}
