/** `trimap runs`: the runs in a folder, a row each. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DataError, plural } from '../data/errors.js';
import { type RunState, stateOf } from './claim.js';
import type { Environment } from './environment.js';
import type { SplitResult } from './finish.js';
import { table } from './progress.js';
import { RunFolder } from './runFolder.js';
import type { RunSettings } from './settings.js';

export interface RunsFlags {
  folder: string;
  json: boolean;
}

/** A row; null is what the run does not have, or not yet. */
interface RunRow {
  name: string;
  path: string;
  state: RunState | 'damaged';
  net: string | null;
  epochs_done: number | null;
  epochs: number | null;
  /** The best on the validation photos, and its epoch. */
  best_dice: number | null;
  best_epoch: number | null;
  test_dice: number | null;
  /** ISO 8601, UTC. */
  started: string | null;
  ended: string | null;
  /** What is wrong with a damaged one. */
  error: string | null;
}

export async function runs({ folder, json }: RunsFlags): Promise<number> {
  if (!existsSync(folder)) {
    throw new DataError(`${folder} does not exist; \`trimap train\` makes runs in runs/, or give another folder`);
  }
  const paths = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(RunFolder.at(join(folder, entry.name)).file('settings')))
    .map((entry) => join(folder, entry.name));
  const rows = paths.map(readRun).sort((a, b) => (a.started ?? '').localeCompare(b.started ?? ''));
  if (json) console.log(JSON.stringify(rows, null, 2));
  else console.log(rows.length === 0 ? `no runs in ${folder}` : describe(rows));
  return 0;
}

function readRun(path: string): RunRow {
  const empty = { net: null, epochs_done: null, epochs: null, best_dice: null, best_epoch: null, test_dice: null };
  const row = { name: basename(path), path, ...empty, started: null, ended: null, error: null };
  const folder = RunFolder.at(path);
  try {
    const settings = folder.readJson<RunSettings>('settings');
    const environment = folder.readJson<Environment>('environment');
    const history = folder.readHistory();
    // The first of equal ones, as training chooses.
    const best = history.reduce<(typeof history)[number] | undefined>(
      (found, record) => (found && found.valid_dice >= record.valid_dice ? found : record),
      undefined,
    );
    return {
      ...row,
      state: stateOf(path, environment?.ended),
      net: settings?.net ?? null,
      epochs_done: history.length,
      epochs: settings?.epochs ?? null,
      best_dice: best?.valid_dice ?? null,
      best_epoch: best?.epoch ?? null,
      test_dice: folder.readJson<SplitResult>('test')?.scores.dice ?? null,
      started: environment?.started ?? null,
      ended: environment?.ended ?? null,
    };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { ...row, state: 'damaged', error: error.message };
  }
}

const HEADINGS = ['run', 'net', 'epochs', 'best Dice', 'of epoch', 'test Dice', 'state', 'started'];

function describe(rows: readonly RunRow[]): string {
  const four = (dice: number | null) => dice?.toFixed(4) ?? '-';
  const cells = rows.map((row) => [
    row.name,
    row.net ?? '-',
    `${row.epochs_done ?? '-'}/${row.epochs ?? '-'}`,
    four(row.best_dice),
    String(row.best_epoch ?? '-'),
    four(row.test_dice),
    row.state,
    row.started === null ? '-' : localTime(new Date(row.started)),
  ]);
  const lines = [table([HEADINGS, ...cells])];
  const interrupted = rows.filter(({ state }) => state === 'interrupted');
  if (interrupted.length > 0) {
    const first = interrupted[0].path;
    lines.push('', `${plural(interrupted.length, 'run')} interrupted; go on with: trimap resume ${first}`);
  }
  for (const { error } of rows) if (error !== null) lines.push('', `damaged: ${error}`);
  return lines.join('\n');
}

/** "2026-11-20 19:46", where the user is. */
function localTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
