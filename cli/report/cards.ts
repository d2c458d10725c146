/** Cards of photos with masks over them, and a slider between the two, for pages. */
import { Html, html } from './html.js';
import { type ComparedMask, FALSE, HIT, LEGEND, MISSED, overlayPng, type View } from './masks.js';
import { dataUri } from './sheet.js';

export interface Card {
  /** Unique in the page: letters, digits and hyphens. */
  id: string;
  name: string;
  /** JPEG. */
  photo: Buffer;
  layers: readonly { mask: ComparedMask; view: View; epoch?: number }[];
  caption: Html;
}

/** What the page's script finds by its classes and attributes: see `page.js`. */
export function cardList(cards: readonly Card[]): Html {
  return html`<ul class="cards">
    ${cards.map(
      ({ id, name, photo, layers, caption }) =>
        html`<li class="card" id="${id}">
          <figure>
            <div class="stack">
              <img src="${dataUri(photo)}" alt="photo ${name}" />${layers.map(
                ({ mask, view, epoch }, i) =>
                  html`<img
                    src="${dataUri(overlayPng(mask, view))}"
                    alt="${alternative(mask, view)}"
                    data-view="${view}"
                    ${epoch !== undefined && html`data-epoch="${epoch}"`}
                    ${i < layers.length - 1 && html`hidden`}
                  />`,
              )}
            </div>
            <input
              class="cut"
              type="range"
              min="0"
              max="100"
              value="100"
              aria-label="Share of ${name} under the mask"
            />
            <figcaption>${caption}</figcaption>
          </figure>
        </li>`,
    )}
  </ul>`;
}

/** In words what the overlay shows. */
function alternative({ classes }: ComparedMask, view: View): string {
  const share = (kinds: readonly number[]) => {
    const count = classes.reduce((sum, one) => sum + (kinds.includes(one) ? 1 : 0), 0);
    return `${((100 * count) / classes.length).toFixed(1)} %`;
  };
  if (view === 'truth') return `truth: ${share([HIT, MISSED])} of the pixels are foreground`;
  if (view === 'prediction') return `prediction: ${share([HIT, FALSE])} of the pixels are foreground`;
  return `difference: ${share([MISSED])} of the pixels are missed, ${share([FALSE])} are false`;
}

/** The choice of what all cards of a section show; the last is chosen. */
export function viewChoice(section: string, views: readonly View[]): Html {
  return html`<fieldset>
    <legend>Over the photo</legend>
    ${views.map(
      (view, i) =>
        html`<label
          ><input type="radio" name="view-${section}" value="${view}" ${i === views.length - 1 && html`checked`} />
          ${view}</label
        > `,
    )}
  </fieldset>`;
}

export const legend = (): Html =>
  html`<p class="muted">
    ${LEGEND.map(({ colour, text }) => html`<span class="swatch" style="background: ${colour}"></span>${text} pixels `)}
  </p>`;
