// What the pages of reports do: values under the pointer, tables that sort, sliders between photo and mask, and, where
// `trimap serve` sends events, sections that change while a run goes on. Put into each page as it is; no library.
'use strict';

/** Values of a chart under the pointer, and with the arrow keys: left and right go along a panel, up and down change it. */
function setUpChart(chart) {
  const { width, height, panels } = JSON.parse(chart.querySelector('script').textContent);
  const svg = chart.querySelector('svg');
  const tip = chart.querySelector('.tip');
  const cursor = document.createElementNS('http://www.w3.org/2000/svg', 'line');
  cursor.setAttribute('class', 'cursor');
  svg.append(cursor);
  let at = { panel: 0, point: -1 };

  function show(panelIndex, pointIndex) {
    at = { panel: panelIndex, point: pointIndex };
    const panel = panels[panelIndex];
    const [x, y, title, ...values] = panel.points[pointIndex];
    const level = panel.by === 'x' ? panel.top : y;
    const line =
      panel.by === 'x'
        ? [x, panel.top, x, panel.bottom]
        : panel.by === 'y'
          ? [panel.left, y, panel.right, y]
          : [x - 8, y, x + 8, y];
    ['x1', 'y1', 'x2', 'y2'].forEach((name, i) => cursor.setAttribute(name, line[i]));
    cursor.removeAttribute('visibility');
    const heading = document.createElement('b');
    heading.textContent = title;
    const rows = values.flatMap((value, i) => {
      if (value === '') return [];
      const row = document.createElement('div');
      if (panel.colours[i]) {
        const dot = document.createElement('i');
        dot.style.background = panel.colours[i];
        row.append(dot);
      }
      row.append(`${panel.names[i]} ${value}`);
      return [row];
    });
    tip.replaceChildren(heading, ...rows);
    tip.hidden = false;
    const scale = svg.clientWidth / width;
    const right = x * scale + 14;
    const fits = right + tip.offsetWidth <= chart.clientWidth;
    tip.style.left = `${fits ? right : Math.max(0, x * scale - 14 - tip.offsetWidth)}px`;
    tip.style.top = `${Math.min(level * scale + 8, height * scale - tip.offsetHeight)}px`;
  }
  function hide() {
    at = { ...at, point: -1 };
    tip.hidden = true;
    cursor.setAttribute('visibility', 'hidden');
  }
  hide();

  function point(event) {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    const index = panels.findIndex((p) => x >= p.left - 8 && x <= p.right + 8 && y >= p.top - 8 && y <= p.bottom + 8);
    if (index < 0 || panels[index].points.length === 0) return hide();
    const { by, points } = panels[index];
    const distance = ([px, py]) => (by === 'y' ? 0 : (px - x) ** 2) + (by === 'x' ? 0 : (py - y) ** 2);
    let nearest = 0;
    points.forEach((one, i) => {
      if (distance(one) < distance(points[nearest])) nearest = i;
    });
    show(index, nearest);
  }
  chart.addEventListener('pointermove', point);
  chart.addEventListener('pointerdown', point);
  chart.addEventListener('pointerleave', hide);
  chart.addEventListener('blur', hide);
  chart.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') return hide();
    const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0;
    const across = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? 0;
    if (along === 0 && across === 0) return;
    event.preventDefault();
    const panel = (at.panel + across + panels.length) % panels.length;
    const last = panels[panel].points.length - 1;
    if (last < 0) return;
    // The keyboard begins at the last point, which is what one wants to know of a run.
    const from = at.point < 0 ? last + (along > 0 ? 0 : -along) : at.point;
    show(panel, Math.min(Math.max(from + along, 0), last));
  });
}

/** Buttons in the heads of columns: the first press sorts ascending, which puts hard cases first, the next descending. */
function setUpTable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector('button')?.addEventListener('click', () => {
      const direction = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
      heads.forEach((one) => one.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', direction === 1 ? 'ascending' : 'descending');
      const text = head.classList.contains('text') || column === 0;
      const value = (row) => row.cells[column].textContent;
      // What was not measured comes last either way.
      const missing = (row) => (text || !Number.isNaN(parseFloat(value(row))) ? 0 : 1);
      const compare = (a, b) =>
        text
          ? value(a).localeCompare(value(b), undefined, { numeric: true })
          : parseFloat(value(a)) - parseFloat(value(b)) || 0;
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => missing(a) - missing(b) || direction * compare(a, b)));
    });
  });
}

/** Sliders between photo and mask, and the choice of the mask that all cards of a section show. */
function setUpCards(section) {
  for (const slider of section.querySelectorAll('input.cut')) {
    const stack = slider.closest('.card').querySelector('.stack');
    const cut = () => stack.style.setProperty('--cut', `${100 - slider.value}%`);
    slider.addEventListener('input', cut);
    cut();
  }
  const views = section.querySelectorAll('input[name^="view"]');
  const epoch = section.querySelector('input.epoch');
  const choose = () => {
    const view = [...views].find((one) => one.checked)?.value;
    const shown = epoch && epoch.dataset.epochs.split(' ')[epoch.value];
    if (epoch) {
      epoch.setAttribute('aria-valuetext', `epoch ${shown}`);
      section.querySelector('output').textContent = shown;
    }
    for (const image of section.querySelectorAll('.stack img + img')) {
      image.hidden = (view && image.dataset.view !== view) || (shown && image.dataset.epoch !== shown);
    }
    for (const one of section.querySelectorAll('[data-of-epoch]')) one.hidden = one.dataset.ofEpoch !== shown;
  };
  for (const input of [...views, ...(epoch ? [epoch] : [])]) input.addEventListener('input', choose);
  choose();
}

function setUp(part) {
  part.querySelectorAll('.chart').forEach(setUpChart);
  part.querySelectorAll('table.sortable').forEach(setUpTable);
  if (part.querySelector('.cards')) setUpCards(part);
}

/** What was unfolded, and had the keyboard, is so in the new section. */
function replaceSection(old, section) {
  const found = (part, selector) => [...part.querySelectorAll(selector)];
  const open = found(old, 'details').map((one) => one.open);
  const reached = 'a, button, input, summary, [tabindex]';
  const focus = found(old, reached).indexOf(document.activeElement);
  old.replaceWith(section);
  found(section, 'details').forEach((one, i) => (one.open = open[i]));
  if (focus >= 0) found(section, reached)[focus]?.focus({ preventScroll: true });
}

/** Puts in the sections that have changed, and leaves the others, with what the reader has set in them. */
async function update(served) {
  const response = await fetch(location.pathname, { cache: 'no-store' });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), 'text/html');
  document.title = fresh.title;
  const main = document.querySelector('main');
  const sections = [...fresh.querySelectorAll('main > section')];
  for (const old of [...main.children]) if (!sections.some(({ id }) => id === old.id)) old.remove();
  sections.forEach((section, i) => {
    const old = document.getElementById(section.id);
    const text = section.outerHTML;
    if (old && served.get(section.id) === text) return;
    served.set(section.id, text);
    if (old) replaceSection(old, section);
    else main.insertBefore(section, main.children[i] ?? null);
    setUp(section);
  });
  for (const part of ['nav', '#lead']) document.querySelector(part).replaceWith(fresh.querySelector(part));
}

const parts = [...document.querySelectorAll('main > section')];
const served = new Map(parts.map((section) => [section.id, section.outerHTML]));
parts.forEach(setUp);

const live = document.querySelector('.live');
if (live) {
  const events = new EventSource('events');
  events.onopen = () => {
    live.textContent = 'Live: the page follows the run.';
    // What changed before the connection stood.
    update(served);
  };
  events.onerror = () => {
    live.textContent = 'Not connected to trimap serve; what is shown is the last state that it sent.';
  };
  events.addEventListener('changed', () => update(served));
}
