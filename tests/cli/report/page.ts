// The report page in a real browser, from a file, as a user opens it.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { writeReport } from '../../../cli/report/runReport.js';
import { startReports } from '../../../cli/serve.js';
import { decodePhoto } from '../../../data/decode.js';
import { visit } from '../../helpers/browser.js';
import { someHistory, someRun } from '../../helpers/report.js';

// What `evaluate` runs is run by the browser, whose types are no part of the build.
type Element = any;
declare const document: { body: Element; documentElement: Element } & Element;
declare const getComputedStyle: (element: Element) => { color: string; backgroundColor: string };

const directory = mkdtempSync(join(tmpdir(), 'trimap-test-'));
const folder = await someRun(directory, 5);
writeReport(folder, 'finished');
const address = pathToFileURL(folder.file('report')).href;

const test = suite('cli/report/page');
test.after(() => rmSync(directory, { recursive: true, force: true }));

/** The report of the run above, or what stands at another address. */
const inPage = (
  { url, ...settings }: Parameters<Browser['newPage']>[0] & { url?: string },
  body: (page: Page) => Promise<void>,
): Promise<void> => visit(url ?? address, settings, body);

for (const width of [1280, 390]) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`${width} pixels wide, ${colorScheme}: nothing sticks out, and letters stand out`, () =>
      inPage({ viewport: { width, height: 900 }, colorScheme }, async (page) => {
        const { scroll, ink, paper, charts } = await page.evaluate(() => ({
          scroll: document.documentElement.scrollWidth,
          ink: getComputedStyle(document.body).color,
          paper: getComputedStyle(document.body).backgroundColor,
          charts: [...document.querySelectorAll('.chart')].filter((one: Element) => one.offsetParent).length,
        }));
        assert.ok(scroll <= width, `${scroll} pixels of content`);
        assert.is(charts, 3, 'curves, histogram and breeds');
        const bright = (colour: string) => Number(/\d+/.exec(colour)![0]) > 128;
        assert.equal([bright(ink), bright(paper)], colorScheme === 'dark' ? [true, false] : [false, true]);
        const shot = decodePhoto(await page.screenshot(), 'screenshot');
        assert.is(shot.width, width);
        const colours = new Set(
          Array.from({ length: 3000 }, (_, i) => shot.pixels.subarray(i * 300, i * 300 + 3).join()),
        );
        assert.ok(colours.size > 3, 'the screenshot is empty');
      }));
  }
}

test('headings, landmarks, names and alternatives are there for those who do not see the page', () =>
  inPage({}, async (page) => {
    const found = await page.evaluate(() => {
      const all = (selector: string): Element[] => [...document.querySelectorAll(selector)];
      const ids = all('[id]').map(({ id }) => id);
      return {
        title: document.title,
        language: document.documentElement.lang,
        landmarks: all('header, nav, main, footer').map(({ tagName }) => tagName),
        headings: all('h1, h2, h3').map(({ tagName }) => Number(tagName[1])),
        nameless: all('img').filter((one) => !one.getAttribute('alt')).length,
        unlabelled: all('input').filter((one) => !one.getAttribute('aria-label') && !one.closest('label')).length,
        repeated: ids.filter((id, i) => ids.indexOf(id) !== i),
        broken: all('a[href^="#"]').filter((one) => !document.querySelector(one.getAttribute('href')!)).length,
        outside: all('[src], link[href]').filter((one) => {
          return !(one.getAttribute('src') ?? one.getAttribute('href'))!.startsWith('data:');
        }).length,
      };
    });
    assert.is(found.title, 'a<b>-run');
    assert.is(found.language, 'en');
    assert.equal(found.landmarks, ['HEADER', 'NAV', 'MAIN', 'FOOTER']);
    assert.is(found.headings.filter((level) => level === 1).length, 1);
    found.headings.forEach((level, i) =>
      assert.ok(i === 0 || level <= found.headings[i - 1] + 1, 'a level is left out'),
    );
    const { nameless, unlabelled, repeated, broken, outside } = found;
    assert.equal(
      { nameless, unlabelled, repeated, broken, outside },
      {
        nameless: 0,
        unlabelled: 0,
        repeated: [],
        broken: 0,
        outside: 0,
      },
    );
  }));

test('a chart shows values under the pointer and by the arrow keys', () =>
  inPage({ viewport: { width: 1280, height: 900 } }, async (page) => {
    const chart = page.locator('#curves .chart.wide');
    const tip = chart.locator('.tip');
    assert.is(await tip.isVisible(), false);
    const box = (await chart.locator('svg').boundingBox())!;
    await page.mouse.move(box.x + 60, box.y + 120);
    assert.match(await tip.innerText(), /^epoch 1\s+training, with augmentation 1\.0000\s+validation 0\.7000/);
    await page.mouse.move(box.x + 5, box.y + 2);
    assert.is(await tip.isVisible(), false);

    await chart.focus();
    await page.keyboard.press('ArrowRight');
    assert.match(await tip.innerText(), /^epoch 5\s/);
    await page.keyboard.press('ArrowLeft');
    assert.match(await tip.innerText(), /^epoch 4\s/);
    await page.keyboard.press('ArrowDown');
    assert.match(await tip.innerText(), /^epoch 4\s+training, with augmentation 0\.8750\s+validation 0\.8400/);
    await page.keyboard.press('Escape');
    assert.is(await tip.isVisible(), false);
  }));

test('hard cases sort by any score, by mouse and keyboard; what was not measured stays last', () =>
  inPage({}, async (page) => {
    const column = (index: number) => page.locator(`#hard tbody tr > :nth-child(${index})`).allInnerTexts();
    const head = (name: string) => page.locator('#hard thead button', { hasText: name });
    const sorted = (values: string[], direction: number) =>
      assert.equal(
        values,
        [...values].sort((a, b) => direction * (Number(a) - Number(b))),
      );
    sorted(await column(3), 1);
    await head('precision').click();
    sorted(await column(5), 1);
    assert.is(await page.locator('#hard th[aria-sort]').getAttribute('aria-sort'), 'ascending');
    await head('precision').focus();
    await page.keyboard.press('Enter');
    sorted(await column(5), -1);
    for (const direction of [1, -1]) {
      await head('boundary F').click();
      const values = await column(7);
      assert.is(values.pop(), '-');
      sorted(values, direction);
    }
    await head('photo').click();
    assert.equal((await column(1)).slice(0, 3), ['Cat_0', 'Cat_2', 'Cat_4']);
    await page.locator('#hard a', { hasText: 'Cat_0' }).click();
    assert.is(await page.locator('.card:target figcaption b').innerText(), 'Cat_0');
  }));

test('the slider moves the mask off the photo, and the choice of the mask counts for all', () =>
  inPage({}, async (page) => {
    const card = page.locator('#cases .card').first();
    const slider = card.locator('input.cut');
    const cut = () => card.locator('.stack').evaluate((stack) => (stack as Element).style.getPropertyValue('--cut'));
    assert.is(await cut(), '0%');
    await slider.focus();
    await page.keyboard.press('Home');
    assert.is(await cut(), '100%');
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight');
    assert.is(await cut(), '97%');
    const shown = () =>
      page.locator('#cases .stack img + img:visible').evaluateAll((all) => {
        return [...new Set(all.map((one) => (one as Element).dataset.view))];
      });
    assert.equal(await shown(), ['difference']);
    await page.getByLabel('truth').check();
    assert.equal(await shown(), ['truth']);

    const samples = page.locator('#samples');
    await samples.locator('input.epoch').focus();
    await page.keyboard.press('Home');
    assert.is(await samples.locator('output').innerText(), '1');
    assert.is(await samples.locator('.stack img + img:visible').count(), 4);
    assert.is(await samples.locator('[data-of-epoch]:visible').count(), 4);
  }));

test('served, the page follows the run and keeps what the reader has set', async () => {
  const reports = await startReports(folder, 0);
  try {
    await inPage({ url: reports.url }, async (page) => {
      await page.locator('.live', { hasText: 'follows the run' }).waitFor();
      await page.getByLabel('prediction').check();
      await page.locator('#curves summary').click();
      folder.writeHistory(someHistory(6));
      await page.locator('#curves td, #curves tbody th', { hasText: /^6$/ }).first().waitFor();
      assert.is(await page.getByLabel('prediction').isChecked(), true);
      assert.is(await page.locator('#curves details').getAttribute('open'), '');
    });
  } finally {
    await reports.close();
  }
});

test.run();
