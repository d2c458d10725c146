/**
 * Benchmarks: `npm run bench -- kernels` and `npm run bench -- step --net unet --size 64 --base-width 16 --batch-size 4`.
 * Each prints one JSON object a line, and names the adapter; times are wall clock, after a warm-up, without compilation.
 */
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { openDevice } from '../engine/dawn.js';
import { networks } from '../nets/networks.js';
import { benchKernels } from './kernels.js';
import { benchStep } from './step.js';

await yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .option('adapter', { type: 'string', describe: "part of the adapter's name" })
  .option('rounds', { type: 'number', default: 5, describe: 'timed rounds; best and median are given' })
  .command(
    'kernels',
    'the three passes of convolutions, checked against the plain kernels',
    (y) => y,
    async ({ adapter, rounds }) => {
      const device = await openDevice({ adapter });
      const plain = await openDevice({ adapter, kernels: 'plain' });
      await benchKernels(device, plain, rounds);
      plain.close();
      device.close();
    },
  )
  .command(
    'step',
    'training and evaluation steps of a net',
    (y) =>
      y
        .option('net', { choices: Object.keys(networks) as (keyof typeof networks)[], default: 'unet' as const })
        .option('size', { type: 'number', default: 64 })
        .option('base-width', { type: 'number', default: 16 })
        .option('batch-size', { alias: 'b', type: 'number', default: 4 })
        .option('memory', {
          type: 'boolean',
          default: false,
          describe: 'also print the memory of the training step by tensor',
        }),
    async ({ adapter, rounds, net, size, baseWidth, batchSize, memory }) => {
      const device = await openDevice({ adapter });
      await benchStep(device, { net, size, baseWidth, batch: batchSize, memory }, rounds);
      device.close();
    },
  )
  .demandCommand(1)
  .strict()
  .showHelpOnFail(false, 'npm run bench -- --help lists the flags')
  .parse();
