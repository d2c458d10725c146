/** The document that reports and comparisons stand in: one file that needs nothing else, in light and in dark. */
import { readFileSync } from 'node:fs';
import type { Chart } from './chart.js';
import { Html, html, jsonScript } from './html.js';
import { pageColour, withPageColours } from './palette.js';

/** A part of a page with a heading, which the page's navigation names. */
export interface Section {
  /** Letters, digits and hyphens. */
  id: string;
  title: string;
  body: Html;
}

export interface Page {
  title: string;
  /** Below the title: what this is, in a sentence or two. */
  lead: Html;
  sections: readonly Section[];
  /** Follow the events that `trimap serve` sends. */
  live?: boolean;
}

// The sources, beside the compiled files' root as the shaders are.
const asset = (name: string): Html =>
  new Html(readFileSync(new URL(`../../../cli/report/${name}`, import.meta.url), 'utf8'));

/** The whole document. Only `trimap serve` lets it load anything: its own events and itself. */
export function page({ title, lead, sections, live }: Page): string {
  const style = asset('page.css');
  const script = asset('page.js');
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
        />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <style>
          ${style}
        </style>
      </head>
      <body>
        <a class="skip" href="#content">To the content</a>
        <header>
          <h1>${title}</h1>
          <div id="lead">${lead}</div>
          ${live && html`<p class="live" role="status">Connecting ...</p>`}
          <nav aria-label="Sections">
            <ul>
              ${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}
            </ul>
          </nav>
        </header>
        <main id="content">
          ${sections.map(
            ({ id, title, body }) =>
              html`<section id="${id}" aria-labelledby="${id}-title">
                <h2 id="${id}-title">${title}</h2>
                ${body}
              </section> `,
          )}
        </main>
        <footer class="muted"><p>Made by trimap.</p></footer>
        <script>
          ${script};
        </script>
      </body>
    </html> `.text;
}

/**
 * A chart in a page, whose values show under the pointer and with the arrow keys.
 * @param make draws it at a width; a page holds a wide and a narrow drawing, and shows the one that fits the screen
 * @param label what it shows, for those who do not see it
 */
export function chartFigure(label: string, make: (width: number, columns: 1 | 2) => Chart, caption?: Html): Html {
  const drawing = (kind: 'wide' | 'narrow', { svg, width, height, panels }: Chart) => {
    const coloured = panels.map((panel) => ({ ...panel, colours: panel.colours.map(pageColour) }));
    // The size comes from the page; a viewBox keeps the proportions.
    const inline = withPageColours(svg).replace(
      /<svg [^>]*>/,
      `<svg viewBox="0 0 ${width} ${height}" aria-hidden="true">`,
    );
    return html`<div
      class="chart ${kind}"
      tabindex="0"
      role="group"
      aria-roledescription="chart"
      aria-label="${label}. Arrow keys show values."
    >
      ${new Html(inline)}
      <output class="tip" hidden></output>
      ${jsonScript({ width, height, panels: coloured })}
    </div>`;
  };
  return html`<figure>
    ${drawing('wide', make(1048, 2))} ${drawing('narrow', make(366, 1))}
    ${caption && html`<figcaption>${caption}</figcaption>`}
  </figure>`;
}

/** A cell: text, or a number as text that is sorted as one; `text` aligns to the left and sorts as text. */
export interface Column {
  head: string;
  text?: boolean;
}

/**
 * A table in a box that scrolls by itself where the screen is too narrow.
 * @param label what the table holds, for those who do not see it
 * @param sortable lets the reader sort it by any column
 */
export function dataTable(
  label: string,
  columns: readonly Column[],
  rows: readonly (readonly (string | Html)[])[],
  { sortable = false } = {},
): Html {
  const kind = ({ text }: Column) => (text ? html` class="text"` : '');
  const head = (column: Column) => (sortable ? html`<button type="button">${column.head}</button>` : column.head);
  const cell = (value: string | Html, i: number) =>
    i === 0 ? html`<th scope="row">${value}</th>` : html`<td${kind(columns[i])}>${value}</td>`;
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${label}">
<table${sortable && html` class="sortable"`}>
<thead><tr>${columns.map((column) => html`<th scope="col" ${kind(column)}>${head(column)}</th>`)}</tr></thead>
<tbody>
${rows.map(
  (row) =>
    html`<tr>
      ${row.map(cell)}
    </tr> `,
)}</tbody>
</table>
</div>`;
}

/** Short facts side by side. */
export const facts = (list: readonly (readonly [name: string, value: string])[]): Html =>
  html`<dl class="facts">
    ${list.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
