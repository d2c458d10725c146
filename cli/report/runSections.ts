/** The sections of a run's report that are made of numbers. */
import { plural } from '../../data/errors.js';
import type { Environment, Session } from '../environment.js';
import { duration, mebibytes } from '../progress.js';
import type { EpochRecord } from '../runFolder.js';
import { definitions, scoreTable } from '../scoreReport.js';
import { splitWord } from './cases.js';
import { bestEpoch, curves } from './curves.js';
import { breedChart, byBreed, histogramChart, quantile } from './distribution.js';
import { type Html, html } from './html.js';
import { chartFigure, type Column, dataTable, facts, type Section } from './page.js';
import type { RunRecord } from './runReport.js';

const four = (value: number): string => value.toFixed(4);

export function leadOf({ settings, environment, state }: RunRecord): Html {
  const { net, baseWidth, size, epochs, batchSize } = settings;
  const since = environment && ` Started ${minute(environment.started)}.`;
  return html`<p>
    Training run of ${net} (base width ${baseWidth}) at ${size}x${size} pixels, ${plural(epochs, 'epoch')} of batches of
    ${batchSize}; ${state}.${since}
  </p>`;
}

/** "2026-11-20 19:31 UTC". */
const minute = (iso: string): string => `${iso.slice(0, 16).replace('T', ' ')} UTC`;

export function summarySection({ history, settings, test, valid, state, folder }: RunRecord): Section {
  const best = bestEpoch(history);
  const last = history.at(-1);
  const list: [string, string][] = [
    ['state', state],
    ['epochs done', `${last?.epoch ?? 0} of ${settings.epochs}`],
    ['best validation Dice', best ? `${four(best.valid_dice)}, epoch ${best.epoch}` : 'not yet'],
  ];
  if (test) {
    list.push(['test Dice', four(test.scores.dice)], ['test IoU', four(test.scores.iou)]);
  } else if (valid) {
    list.push(['validation IoU', four(valid.scores.iou)]);
  }
  if (last) {
    const seconds = history.reduce((sum, one) => sum + one.seconds, 0);
    list.push(['time', duration(seconds)], ['images per second', last.images_per_second.toFixed(1)]);
  }
  const fit = describeFit(history);
  const goOn =
    state === 'interrupted' && html`<p>The run was interrupted; <code>trimap resume ${folder.path}</code> goes on.</p>`;
  return { id: 'summary', title: 'Summary', body: html`${facts(list)}${fit && html`<p>${fit}</p>`}${goOn}` };
}

/** Epochs after the lowest validation loss, and its growth since, from which on a run is said to overfit. */
const RISING = { epochs: 3, growth: 0.05 };

/** What the two losses say of overfitting; undefined where they say nothing. */
export function describeFit(history: readonly EpochRecord[]): string | undefined {
  const last = history.at(-1);
  if (!last) return undefined;
  const lowest = history.reduce((least, one) => (one.valid_loss < least.valid_loss ? one : least));
  const growth = last.valid_loss / lowest.valid_loss - 1;
  const learning = last.train_loss_augmented < lowest.train_loss_augmented;
  if (last.epoch - lowest.epoch < RISING.epochs || !(growth > RISING.growth) || !learning) return undefined;
  return (
    `Overfitting: the validation loss was lowest in epoch ${lowest.epoch} (${four(lowest.valid_loss)}) and is ` +
    `${(100 * growth).toFixed(0)} % higher now (${four(last.valid_loss)}), while the training loss went on falling.`
  );
}

export function curvesSection({ history, settings }: RunRecord): Section {
  const best = bestEpoch(history);
  if (!best) return { id: 'curves', title: 'Curves', body: html`<p>They begin with the end of the first epoch.</p>` };
  const last = history.at(-1)!;
  const label =
    `Loss, Dice, learning rate and norm of the gradients over ${plural(history.length, 'epoch')}. ` +
    `Validation Dice ${four(last.valid_dice)} in the last, best ${four(best.valid_dice)} in epoch ${best.epoch}`;
  const figure = chartFigure(
    label,
    (width, columns) => curves(history, { id: `curves-${columns}`, width, columns, epochs: settings.epochs }),
    html`Training is measured on augmented photos while the weights change, and so can look worse than validation. The
    dotted line marks the epoch with the best validation Dice, whose weights are kept.`,
  );
  const rows = history.map((record) => HISTORY.map(({ show }) => show(record)));
  const table = dataTable('History, an epoch a row', HISTORY, rows);
  return {
    id: 'curves',
    title: 'Curves',
    body: html`${figure}
      <details>
        <summary>All epochs as a table</summary>
        ${table}
        <p class="muted">* with augmentation</p>
      </details>`,
  };
}

const HISTORY: (Column & { show(record: EpochRecord): string })[] = [
  { head: 'epoch', show: ({ epoch }) => String(epoch) },
  { head: 'training loss*', show: (one) => four(one.train_loss_augmented) },
  { head: 'training Dice*', show: (one) => four(one.train_dice_augmented) },
  { head: 'validation loss', show: (one) => four(one.valid_loss) },
  { head: 'validation Dice', show: (one) => four(one.valid_dice) },
  { head: 'validation IoU', show: (one) => four(one.valid_iou) },
  { head: 'learning rate', show: (one) => one.learning_rate.toPrecision(3) },
  { head: 'gradient norm', show: (one) => one.gradient_norm.toPrecision(3) },
  { head: 'images/s', show: (one) => one.images_per_second.toFixed(1) },
  { head: 'waiting for data', show: (one) => `${(100 * one.waiting).toFixed(0)} %` },
  { head: 'memory', show: (one) => mebibytes(one.peak_bytes) },
  { head: 'seconds', show: (one) => one.seconds.toFixed(1) },
];

export function scoresSection({ valid, test, settings }: RunRecord): Section | undefined {
  const results = [test, valid].filter((result) => result !== undefined);
  if (results.length === 0) return undefined;
  const tables = results.map((result) => {
    const [heads, ...rows] = scoreTable(result);
    const columns = heads.map((head) => ({ head }));
    return html`${dataTable(`Scores of the ${splitWord(result.split)} photos`, columns, rows)}<br />`;
  });
  const chosen = valid && html`<p class="muted">Validation scores are a little too good: they chose the weights.</p>`;
  return {
    id: 'scores',
    title: 'Scores of the best weights',
    body: html`<p>Weights of epoch ${results[0].epoch}, ${settings.net}.</p>
      ${tables}
      <p class="muted">${definitions(results[0]).join(' ')}</p>
      ${chosen}`,
  };
}

export function distributionSection({ valid, test }: RunRecord): Section | undefined {
  const result = test ?? valid;
  if (!result) return undefined;
  const { photos, split } = result;
  const sorted = photos.map(({ dice }) => dice).sort((a, b) => a - b);
  const [tenth, median] = [0.1, 0.5].map((share) => four(quantile(sorted, share)));
  const text = `Half of the ${plural(photos.length, `${splitWord(split)} photo`)} have a Dice above ${median}, nine tenths above ${tenth}`;
  const spreads = byBreed(photos);
  const breeds =
    spreads.length > 1 &&
    html`<h3>By breed</h3>
      ${chartFigure(
        `Dice by breed, the lowest median first: ${spreads[0].name} ${four(spreads[0].five[2])}, last ` +
          `${spreads.at(-1)!.name} ${four(spreads.at(-1)!.five[2])}`,
        (width) => breedChart(spreads, `breeds-${width}`, width),
        html`Median, middle half, smallest and largest Dice of each breed; in parentheses its photos.`,
      )}`;
  return {
    id: 'distribution',
    title: 'Dice of single photos',
    body: html`${chartFigure(text, (width) => histogramChart(photos, `histogram-${width}`, width), html`${text}.`)}
    ${breeds}`,
  };
}

export function settingsSection({ settings, environment }: RunRecord): Section {
  const columns = [{ head: 'name' }, { head: 'value', text: true }];
  const sessions = environment && [withoutSessions(environment), ...environment.resumed];
  return {
    id: 'settings',
    title: 'Settings and environment',
    body: html`${dataTable('Settings', columns, flatten(settings))}
    ${sessions?.map(
      (session, i) =>
        html`<h3>${i === 0 ? 'Environment' : `Resumed ${minute(session.started)}`}</h3>
          ${dataTable('Environment', columns, flatten({ ...session, memory: mebibytes(session.memory) }))}`,
    )}`,
  };
}

/** The first process alone; a run that has not ended has no time for that. */
function withoutSessions({ resumed, ended, ...first }: Environment): Session {
  return ended === null ? first : Object.assign(first, { ended });
}

/** Settings within settings get names with points. */
export function flatten(record: object, prefix = ''): [name: string, value: string][] {
  return Object.entries(record).flatMap(([key, value]: [string, unknown]): [string, string][] => {
    const name = `${prefix}${key}`;
    if (Array.isArray(value)) return [[name, value.join(name === 'command' ? ' ' : ', ')]];
    if (value !== null && typeof value === 'object') return flatten(value, `${name}.`);
    return [[name, value === null ? 'none' : String(value)]];
  });
}
