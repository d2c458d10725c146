/** The sections of a run's report that show photos. */
import { chooseCases, hardestPhotos, splitWord } from './cases.js';
import { cardList, legend, viewChoice } from './cards.js';
import { html } from './html.js';
import { VIEWS } from './masks.js';
import { type Column, dataTable, type Section } from './page.js';
import { CASES, groupTitle, maskDice, readCase, readEpochPictures } from './pictures.js';
import type { RunRecord } from './runReport.js';

/** Photos that are listed for each metric; together at most five times as many. */
const HARDEST = 60;
/** Epochs of which a page holds the masks. */
const EPOCHS_SHOWN = 12;

const four = (value: number): string => value.toFixed(4);

/** Where in the page a photo's panel stands. */
const caseId = (group: string, i: number): string => `${group}-${i + 1}`;

export function casesSection({ folder, valid, test }: RunRecord): Section | undefined {
  const result = test ?? valid;
  if (!result) return undefined;
  const groups = chooseCases(result.photos, CASES).flatMap(({ id, photos }) => {
    const cards = photos.flatMap((scores, i) => {
      const panel = readCase(folder, scores.name);
      if (!panel) return [];
      const { name, photo, mask } = panel;
      const layers = VIEWS.map((view) => ({ mask, view }));
      const caption = html`<b>${name}</b><br />Dice ${four(scores.dice)}, IoU ${four(scores.iou)}`;
      return [{ id: caseId(id, i), name, photo, layers, caption }];
    });
    const split = test ? ('test' as const) : ('valid' as const);
    return cards.length === 0
      ? []
      : [
          html`<h3>${groupTitle(id, split, cards.length)}</h3>
            ${cardList(cards)}`,
        ];
  });
  if (groups.length === 0) return undefined;
  return {
    id: 'cases',
    title: 'Worst, median and best photos',
    body: html`${viewChoice('cases', VIEWS)}${legend()}
      <p class="muted">Photos as the net sees them, square. The slider below each moves the mask off the photo.</p>
      ${groups}`,
  };
}

const COLUMNS: readonly Column[] = [
  { head: 'photo', text: true },
  { head: 'breed', text: true },
  { head: 'Dice' },
  { head: 'IoU' },
  { head: 'precision' },
  { head: 'recall' },
  { head: 'boundary F' },
];

export function hardSection({ folder, valid, test }: RunRecord): Section | undefined {
  const result = test ?? valid;
  if (!result) return undefined;
  const { photos, split } = result;
  const anchors = new Map(
    chooseCases(photos, CASES).flatMap(({ id, photos: own }) =>
      own.map(({ name }, i) => [name, caseId(id, i)] as const),
    ),
  );
  const hard = hardestPhotos(photos, HARDEST);
  const hasBreeds = hard.some(({ breed }) => breed !== undefined);
  const shown = COLUMNS.filter(({ head }) => head !== 'breed' || hasBreeds);
  const rows = hard.map(({ name, breed, dice, iou, precision, recall, boundary_f }) => [
    anchors.has(name) && readCase(folder, name) ? html`<a href="#${anchors.get(name)!}">${name}</a>` : name,
    ...(hasBreeds ? [breed?.replaceAll('_', ' ') ?? ''] : []),
    ...[dice, iou, precision, recall].map(four),
    boundary_f === null ? '-' : four(boundary_f),
  ]);
  const all = hard.length === photos.length;
  const what = all
    ? `All ${photos.length} ${splitWord(split)} photos`
    : `Those of the ${photos.length} ${splitWord(split)} photos that are among the ${HARDEST} lowest by at least one score`;
  return {
    id: 'hard',
    title: 'Hard cases',
    body: html`<p class="muted">${what}. Press a column's head to sort by it, and again to turn the order round.</p>
      ${dataTable('Hard cases', shown, rows, { sortable: true })}`,
  };
}

export function samplesSection({ folder, history }: RunRecord): Section | undefined {
  const samples = readEpochPictures(folder, history.at(-1)?.epoch ?? 0, EPOCHS_SHOWN);
  const epochs = [...new Set(samples.flatMap(({ masks }) => [...masks.keys()]))].sort((a, b) => a - b);
  if (epochs.length === 0) return undefined;
  const last = epochs.length - 1;
  const slider =
    last > 0 &&
    html`<p>
      <label
        >After epoch <output>${epochs[last]}</output
        ><input class="epoch" type="range" min="0" max="${last}" value="${last}" data-epochs="${epochs.join(' ')}"
      /></label>
    </p>`;
  const cards = samples.map(({ name, photo, masks }, i) => ({
    id: `sample-${i + 1}`,
    name,
    photo,
    layers: [...masks].map(([epoch, mask]) => ({ mask, view: 'difference' as const, epoch })),
    caption: html`<b>${name}</b>${[...masks].map(
        ([epoch, mask]) =>
          html`<span data-of-epoch="${epoch}" ${epoch !== epochs[last] && html`hidden`}
            ><br />Dice ${four(maskDice(mask))}</span
          >`,
      )}`,
  }));
  return {
    id: 'samples',
    title: 'Validation photos by epoch',
    body: html`${legend()}${slider}${cardList(cards)}`,
  };
}
