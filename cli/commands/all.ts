/** Every command, in the order of `trimap --help`. */
import { benchCommands } from './bench.js';
import type { Command, CommandGroup } from './define.js';
import { machineCommands } from './machine.js';
import { modelCommands } from './models.js';
import { photoCommands } from './photos.js';
import { trainingCommands } from './training.js';

export const commands: readonly (Command | CommandGroup)[] = [
  ...trainingCommands,
  ...modelCommands,
  ...photoCommands,
  ...machineCommands,
  benchCommands,
];

/** The words that call a command: `predict`, without what it takes. */
export const wordOf = ({ name }: { name: string }): string => name.split(' ')[0];
