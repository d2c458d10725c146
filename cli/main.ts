/** The process behind `trimap`: what it does at signals and when nobody reads on, and its exit code. */
import { hideBin } from 'yargs/helpers';
import { execute } from './commandLine.js';
import { endOnSignals } from './interrupt.js';

// `trimap verify --json | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

endOnSignals();
process.exitCode = await execute(hideBin(process.argv));
