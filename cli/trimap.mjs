#!/usr/bin/env node
// The command `trimap`: set-up where it is needed, then the compiled command line.
import { setup } from './setup.mjs';

process.exitCode = setup();
if (process.exitCode === 0) await import('../dist/cli/main.js');
