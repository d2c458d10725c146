// trimap compare: the interval, what is compared with what, the table, and the page of two real runs.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pairedBootstrap } from '../../cli/compare/bootstrap.js';
import { compareRuns, mostDifferent } from '../../cli/compare/comparison.js';
import { comparisonPage } from '../../cli/compare/page.js';
import type { DifferentCase } from '../../cli/compare/panels.js';
import { differingSettings, outcomeOf, summaryText, wins } from '../../cli/compare/summary.js';
import { DataError } from '../../data/errors.js';
import { encodeJpeg } from '../../data/jpeg.js';
import { drawSample } from '../../data/sample.js';
import { Random } from '../../engine/random.js';
import { visit } from '../helpers/browser.js';
import { trimap } from '../helpers/cli.js';
import { inDirectory } from '../helpers/data.js';

const test = suite('cli/compare');

test('the paired bootstrap agrees with the normal interval where scores are many, and is the same every time', () => {
  const random = new Random('compare');
  const a = Array.from({ length: 400 }, () => 0.8 + 0.1 * random.normal());
  // Photos that are hard for one run are hard for the other: the pairs differ far less than the scores.
  const b = a.map((score) => score + 0.01 + 0.02 * random.normal());
  const found = pairedBootstrap(a, b);
  const differences = a.map((score, i) => b[i] - score);
  const mean = differences.reduce((sum, value) => sum + value, 0) / 400;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 399;
  const reach = 1.959964 * Math.sqrt(variance / 400);
  assert.ok(Math.abs(found.difference - mean) <= 1e-12);
  assert.ok(Math.abs(found.low - (mean - reach)) <= 0.1 * reach, `${found.low} for ${mean - reach}`);
  assert.ok(Math.abs(found.high - (mean + reach)) <= 0.1 * reach, `${found.high} for ${mean + reach}`);
  assert.equal(pairedBootstrap(a, b), found);
  assert.equal([found.photos, found.resamples], [400, 10_000]);
});

test('the bootstrap of few and of equal scores', () => {
  // Two photos: means of -1, 0 and 1 with chances of 1/4, 1/2 and 1/4.
  const two = pairedBootstrap([0, 1], [1, 0]);
  assert.equal([two.difference, two.low, two.high], [0, -1, 1]);
  const same = pairedBootstrap([0.5, 0.7], [0.5, 0.7]);
  assert.equal([same.difference, same.low, same.high], [0, 0, 0]);
  assert.throws(() => pairedBootstrap([1], [1, 2]), '1 scores against 2');
  assert.throws(() => pairedBootstrap([], []), '0 scores against 0');
});

interface Made {
  settings?: object;
  test?: Record<string, number>;
  valid?: Record<string, number>;
  ended?: string | null;
  border?: string;
}

/** A folder as a finished run leaves it, without weights. */
function makeRun(
  folder: string,
  { settings, test, valid = { v: 0.5 }, ended = '2026-01-01T00:00:00Z', border }: Made,
): void {
  const result = (split: string, dice: Record<string, number>) => ({
    split,
    size: 32,
    border: border ?? 'pet',
    scores: {},
    photos: Object.entries(dice).map(([name, value]) => ({
      name,
      dice: value,
      iou: value / (2 - value),
      precision: value,
      recall: value,
      boundary_f: value,
    })),
  });
  const record = (epoch: number, dice: number) => ({
    epoch,
    train_loss_augmented: 1,
    train_dice_augmented: 0.5,
    valid_loss: 1,
    valid_dice: dice,
    valid_iou: 0.4,
    learning_rate: 0.001,
    gradient_norm: 1,
    images_per_second: 10,
    waiting: 0,
    peak_bytes: 2 ** 20,
    seconds: 30,
  });
  const files = {
    'settings.json': {
      net: 'unet',
      size: 32,
      dataPath: '/nowhere',
      optimizer: { kind: 'adam', betas: [0.9, 0.999] },
      ...settings,
    },
    'environment.json': { ended },
    'valid.json': result('valid', valid),
    ...(test ? { 'test.json': result('test', test) } : {}),
  };
  mkdirSync(folder, { recursive: true });
  for (const [name, value] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(value));
  const history = [record(1, 0.6), record(2, 0.7), record(3, 0.65)];
  writeFileSync(join(folder, 'history.jsonl'), history.map((one) => `${JSON.stringify(one)}\n`).join(''));
}

test('photos are paired by name, whatever their order; settings that differ are found within others', () =>
  inDirectory((directory) => {
    const [a, b] = [join(directory, 'a'), join(directory, 'b')];
    makeRun(a, { test: { x: 0.5, y: 0.8, z: 0.9 } });
    makeRun(b, {
      test: { z: 0.9, x: 0.9, y: 0.7 },
      settings: { net: 'resnet34-unet', optimizer: { kind: 'adam', betas: [0.8, 0.999] } },
    });
    const comparison = compareRuns([a, b]);
    const [first, second] = comparison.runs;
    assert.equal(
      second.photos.map(({ name, dice }) => [name, dice]),
      [
        ['x', 0.9],
        ['y', 0.7],
        ['z', 0.9],
      ],
    );
    assert.equal(comparison.notes, []);
    assert.ok(Math.abs(comparison.intervals[0].difference - 0.1) <= 1e-12);
    assert.equal(mostDifferent(comparison, 5), [0, 1], 'the largest first, equal ones not at all');
    assert.equal(wins(first, second), { a: 1, b: 1, equal: 1 });
    assert.equal(differingSettings(comparison.runs), [
      { name: 'net', values: ['unet', 'resnet34-unet'] },
      { name: 'optimizer.betas', values: ['0.9, 0.999', '0.8, 0.999'] },
    ]);
    const { dice, best_epoch, seconds, lowest_dice } = outcomeOf(first);
    assert.ok(Math.abs(dice - 2.2 / 3) <= 1e-12);
    assert.equal([best_epoch, seconds, lowest_dice], [2, 90, 0.5]);
    const text = summaryText(comparison);
    assert.match(text, /^Dice +0\.7333 +0\.8333$/m);
    assert.match(
      text,
      /b minus a: Dice \+0\.1000, 95 % interval -0\.1000 to \+0\.4000: these photos do not tell which is better/,
    );
  }));

test('runs that are not alike: common photos, other masks, missing ones', () =>
  inDirectory((directory) => {
    const at = (name: string) => join(directory, name);
    makeRun(at('a'), { test: { x: 0.5, y: 0.8 } });
    makeRun(at('more'), { test: { x: 0.6, y: 0.9, z: 0.1 }, border: 'background' });
    makeRun(at('other'), { test: { q: 0.5 } });
    makeRun(at('untested'), { valid: { v: 0.6 } });
    makeRun(at('unfinished'), { test: { x: 0.5 }, ended: null });
    const { notes, runs } = compareRuns([at('a'), at('more')]);
    assert.is(runs[1].photos.length, 2);
    assert.match(notes[0], 'compared on the 2 test photos in common; left out: more 1 more');
    assert.match(notes[1], 'the border rule differs (a: pet, more: background)');
    const valid = compareRuns([at('a'), at('untested')]);
    assert.is(valid.split, 'valid');
    assert.match(valid.notes[0], 'untested measured no test photos');
    const refused = (paths: string[], message: string) =>
      assert.throws(
        () => compareRuns(paths),
        (error: unknown) => error instanceof DataError && error.message.includes(message),
      );
    refused([at('a'), at('other')], 'the runs have no test photo in common (a has x, other has q, ...)');
    refused([at('a'), at('unfinished')], `trimap resume ${at('unfinished')}`);
    refused([at('a'), at('nowhere')], 'is no folder of a run');
  }));

// What `evaluate` runs is run by the browser, whose types are no part of the build.
type Element = any;
declare const document: { documentElement: Element } & Element;

/** Three photos, of which the first is hit and missed in halves. */
const someCases = (runs: number): DifferentCase[] =>
  ['x', 'y', 'z'].map((name) => ({
    name,
    photo: encodeJpeg({ height: 16, width: 16, pixels: new Uint8Array(16 * 16 * 3).fill(99) }, 80),
    masks: Array.from({ length: runs }, (_, run) => ({
      height: 16,
      width: 16,
      classes: Uint8Array.from({ length: 256 }, (_, i) => (i < 128 ? run : 2)),
    })),
    dice: Array.from({ length: runs }, () => 0.5),
  }));

for (const width of [1280, 390]) {
  test(`the page of three runs in a browser, ${width} pixels wide: it fits, sorts, and shows values`, () =>
    inDirectory(async (directory) => {
      const paths = ['one', 'two<b>', 'three'].map((name) => join(directory, name));
      makeRun(paths[0], { test: { x: 0.5, y: 0.8, z: 0.9 } });
      makeRun(paths[1], { test: { x: 0.7, y: 0.85, z: 0.9 }, settings: { net: 'resnet34-unet' } });
      makeRun(paths[2], { test: { x: 0.6, y: 0.2, z: 0.95 } });
      const file = join(directory, 'page.html');
      writeFileSync(file, comparisonPage(compareRuns(paths), someCases(3)));
      await visit(pathToFileURL(file).href, { viewport: { width, height: 900 } }, async (page) => {
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width);
        assert.is(await page.title(), 'one against two<b> against three');
        const first = () => page.locator('table.sortable tbody tr').first().locator('th').textContent();
        assert.is(await first(), 'y', 'the largest difference first');
        await page.locator('table.sortable th button').first().click();
        assert.is(await first(), 'x');
        const scatter = page.locator('#photos .chart:visible');
        assert.is(await scatter.count(), 2, 'each further run against the first');
        await scatter.first().focus();
        await page.keyboard.press('ArrowLeft');
        assert.match((await scatter.first().locator('.tip').textContent()) ?? '', /^zone 0\.9000two<b> 0\.9000$/);
        assert.is(await page.locator('#cases li').count(), 3);
        assert.is(await page.locator('#cases li').first().locator('figure').count(), 2 + 3);
        assert.is(await page.getByAltText('three: 50.0 % of the photo are missed, 0.0 % are false').count(), 0);
        assert.is(await page.getByAltText('two<b>: 50.0 % of the photo are missed, 0.0 % are false').count(), 3);
      });
    }));
}

const TINY = ['--size', '32', '--base-width', '2', '-b', '4', '-e', '1', '--quiet'];

test('two real runs: page with panels, table, JSON; without the photos all but the panels', () =>
  inDirectory(async (directory) => {
    await drawSample(join(directory, 'photos'), { count: 14, minSize: 32, maxSize: 48, seed: 3 });
    for (const seed of ['1', '2']) {
      const args = [
        'train',
        '--data-path',
        'photos',
        ...TINY,
        '--seed',
        seed,
        '--lr',
        '0.01',
        '--name',
        `seed-${seed}`,
      ];
      const { code, stderr } = await trimap(directory, args);
      assert.is(code, 0, stderr);
    }
    const runs = [join('runs', 'seed-1'), join('runs', 'seed-2')];
    // After one epoch both may call everything foreground; panels are of photos whose scores differ.
    const scores = join(directory, runs[1], 'test.json');
    const result = JSON.parse(readFileSync(scores, 'utf8')) as { photos: { dice: number }[] };
    for (const [i, photo] of result.photos.entries()) photo.dice /= i + 2;
    writeFileSync(scores, JSON.stringify(result));
    const { code, stdout, stderr } = await trimap(directory, ['compare', ...runs, '--output', join('out', 'c.html')]);
    assert.is(code, 0, stderr);
    assert.match(stdout, /^test, 2 photos +seed-1 +seed-2$/m);
    assert.match(stdout, /^seed +1 +2$/m);
    const page = readFileSync(join(directory, 'out', 'c.html'), 'utf8');
    for (const part of ['seed-1 against seed-2', 'Where they differ most', '95 % interval', 'Settings that differ']) {
      assert.ok(page.includes(part), part);
    }
    // Of each of the two photos: the photo itself, and under three masks.
    assert.is(page.match(/data:image\/jpeg/g)!.length, 2 * 4);
    assert.is(page.match(/data:image\/png/g)!.length, 2 * 3);
    assert.not.match(page, /(src|href)="(?!data:|#)/);

    rmSync(join(directory, 'photos'), { recursive: true });
    const without = await trimap(directory, ['compare', ...runs, '--json']);
    assert.is(without.code, 0, without.stderr);
    assert.match(without.stderr, 'warning: no panels: data path');
    const found = JSON.parse(without.stdout) as {
      photos: number;
      runs: { dice: number }[];
      intervals: { difference: number }[];
    };
    assert.is(found.photos, 2);
    const difference = found.runs[1].dice - found.runs[0].dice;
    assert.ok(Math.abs(found.intervals[0].difference - difference) <= 1e-12);
    assert.ok(existsSync(join(directory, 'comparison.html')));
    const one = await trimap(directory, ['compare', runs[0]]);
    assert.equal(
      [one.code, one.stderr],
      [2, 'error: give two runs or more to compare, such as runs/unet runs/unet-2\n'],
    );
  }));

test.run();
