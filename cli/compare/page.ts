/** The page of a comparison: one file, in the style of the reports. */
import { plural } from '../../data/errors.js';
import { legend } from '../report/cards.js';
import { type Html, html } from '../report/html.js';
import { type ComparedMask, overlayPng, type View } from '../report/masks.js';
import { chartFigure, dataTable, facts, page, type Section } from '../report/page.js';
import { dataUri } from '../report/sheet.js';
import { overlaidCurves, scatterChart } from './charts.js';
import type { Comparison } from './comparison.js';
import type { DifferentCase } from './panels.js';
import { describeInterval, differingSettings, four, outcomeRows, type Row, wins } from './summary.js';

/** @param cases undefined where they could not be drawn; a note of the comparison then says why */
export function comparisonPage(comparison: Comparison, cases: readonly DifferentCase[] | undefined): string {
  const { runs, split } = comparison;
  const names = runs.map(({ name }) => name);
  const photos = plural(runs[0].photos.length, `${split} photo`);
  return page({
    title: names.join(' against '),
    lead: html`<p>
        ${plural(runs.length, 'training run')} of trimap, compared on ${photos} with the best weights of each.
      </p>
      ${comparison.notes.map((note) => html`<p><b>Note:</b> ${note}.</p>`)}`,
    sections: [
      summarySection(comparison),
      tableSection(comparison),
      curvesSection(comparison),
      scatterSection(comparison),
      ...(cases && cases.length > 0 ? [casesSection(comparison, cases)] : []),
      photosSection(comparison),
    ],
  });
}

function summarySection({ runs, intervals }: Comparison): Section {
  const [first, ...others] = runs;
  const [dice] = outcomeRows(runs);
  const list = runs.map(({ name }, i) => [`Dice, ${name}`, dice.values[i]] as const);
  const { resamples, photos } = intervals[0];
  return {
    id: 'summary',
    title: 'Summary',
    body: html`${facts(list)}
      ${others.map((other, i) => html`<p>${describeInterval(first.name, other.name, intervals[i])}.</p>`)}
      <p class="muted">
        The interval is that of the paired bootstrap: ${String(resamples)} times ${String(photos)} photos are drawn with
        replacement, each with the scores of both runs, and the middle 95 % of the differences of the means are kept (B.
        Efron, R. J. Tibshirani, An Introduction to the Bootstrap, 1993, 13.3). It says how much hangs on the choice of
        photos, not what another seed of the training would give.
      </p>`,
  };
}

function tableSection({ runs, split }: Comparison): Section {
  const columns = [{ head: '' }, ...runs.map(({ name }) => ({ head: name }))];
  const rows = (list: readonly Row[]) => list.map(({ name, values }) => [name, ...values]);
  const differing = differingSettings(runs);
  return {
    id: 'table',
    title: 'Side by side',
    body: html`<h3>Scores and cost</h3>
      ${dataTable(`Scores of the ${split} photos and cost of the training`, columns, rows(outcomeRows(runs)))}
      <p class="muted">
        Dice, IoU, precision, recall and boundary F are means over the photos that all runs have measured; each run's
        own report defines them.
      </p>
      <h3>Settings that differ</h3>
      ${differing.length === 0 ? html`<p>None: the runs were asked for the same.</p>` : dataTable('Settings that differ', columns, rows(differing))}`,
  };
}

function curvesSection({ runs }: Comparison): Section {
  const last = runs.map(({ name, history }) => `${name} ${four(history.at(-1)?.valid_dice ?? NaN)}`).join(', ');
  const label = `Loss and Dice of all runs over their epochs. Validation Dice at the end: ${last}`;
  return {
    id: 'curves',
    title: 'Curves',
    body: chartFigure(
      label,
      (width, columns) => overlaidCurves(runs, `compared-${columns}`, width, columns),
      html`Training is measured on augmented photos while the weights change. Losses of different kinds do not compare.`,
    ),
  };
}

function scatterSection({ runs }: Comparison): Section {
  const [first, ...others] = runs;
  return {
    id: 'photos',
    title: 'Photo by photo',
    body: html`${others.map((other, i) => {
      const { a, b, equal } = wins(first, other);
      const text =
        `${other.name} has the higher Dice in ${b} photos, ${first.name} in ${a}` +
        `${equal > 0 ? `, equal in ${equal}` : ''}`;
      const figure = chartFigure(
        `Dice of each photo by ${first.name} and by ${other.name}: ${text}`,
        (width) => scatterChart(first, other, `scatter-${i}-${width}`, width),
        html`A point a photo. Above the dashed line ${other.name} is better, below it ${first.name}. ${text}.`,
      );
      return html`<div class="square">${figure}</div>`;
    })}`,
  };
}

function casesSection({ runs }: Comparison, cases: readonly DifferentCase[]): Section {
  const heads = runs.map(({ name }) => name);
  return {
    id: 'cases',
    title: 'Where they differ most',
    body: html`${legend()}
      <ul class="versus">
        ${cases.map(
          ({ name, photo, masks, dice }) =>
            html`<li>
              <h3>${name}: ${heads.map((head, i) => `${head} ${four(dice[i])}`).join(', ')}</h3>
              <div class="panels">
                ${picture('photo', photo, `photo ${name}`)}
                ${picture('truth', photo, `true mask of ${name}`, masks[0], 'truth')}
                ${masks.map((mask, i) => picture(heads[i], photo, `${heads[i]}: ${difference(mask)}`, mask, 'difference'))}
              </div>
            </li>`,
        )}
      </ul>`,
  };
}

function picture(head: string, photo: Buffer, alt: string, mask?: ComparedMask, view?: View): Html {
  return html`<figure>
    <div class="stack" style="--cut: 0%">
      <img src="${dataUri(photo)}" alt="${mask ? '' : alt}" />${
        mask && view && html`<img src="${dataUri(overlayPng(mask, view))}" alt="${alt}" />`
      }
    </div>
    <figcaption>${head}</figcaption>
  </figure>`;
}

/** In words what the overlay shows. */
function difference({ classes }: ComparedMask): string {
  const share = (kind: number) =>
    `${((100 * classes.filter((one) => one === kind).length) / classes.length).toFixed(1)} %`;
  return `${share(2)} of the photo are missed, ${share(3)} are false`;
}

/** Photos listed, those with the largest differences. */
const LISTED = 200;

function photosSection({ runs }: Comparison): Section {
  const [first] = runs;
  const rows = first.photos
    .map(({ name }, i) => {
      const dice = runs.map(({ photos }) => photos[i].dice);
      return { name, dice, spread: Math.max(...dice) - Math.min(...dice) };
    })
    .sort((a, b) => b.spread - a.spread)
    .slice(0, LISTED);
  const all = rows.length === first.photos.length;
  const columns = [{ head: 'photo', text: true }, ...runs.map(({ name }) => ({ head: name })), { head: 'difference' }];
  return {
    id: 'list',
    title: 'Dice by photo',
    body: html`<p class="muted">
        ${all ? 'All photos' : `The ${LISTED} photos with the largest differences`}; press a heading to sort.
      </p>
      ${dataTable(
        'Dice of each photo by each run',
        columns,
        rows.map(({ name, dice, spread }) => [name, ...dice.map(four), four(spread)]),
        { sortable: true },
      )}`,
  };
}
