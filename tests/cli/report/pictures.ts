import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { html, jsonScript } from '../../../cli/report/html.js';
import { compareMasks, overlayPng, readOverlay, VIEWS } from '../../../cli/report/masks.js';
import {
  maskDice,
  readCase,
  readEpochPictures,
  shownSamples,
  writeEpochPictures,
} from '../../../cli/report/pictures.js';
import { RunFolder } from '../../../cli/runFolder.js';
import { decodePhoto } from '../../../data/decode.js';
import { inDirectory } from '../../helpers/data.js';
import { pictureSource, someRun } from '../../helpers/report.js';

const test = suite('cli/report/pictures');

// Mask bytes 0, 1 (object) and 2 (border), each predicted and not.
const record = Uint8Array.from([0, 0, 1, 1, 2, 2].flatMap((byte) => [9, 9, 9, byte]));
const logits = Float32Array.from([-1, 1, -1, 1, -1, 1]);

test('pixels are hit, missed, false or left out, as the border is counted', () => {
  const classes = (border: 'pet' | 'background' | 'ignore') => [
    ...compareMasks(record, logits, [2, 3], border).classes,
  ];
  assert.equal(classes('pet'), [0, 3, 2, 1, 2, 1]);
  assert.equal(classes('background'), [0, 3, 2, 1, 0, 3]);
  assert.equal(classes('ignore'), [0, 3, 2, 1, 4, 4]);
  // The step's own comparison: at the threshold is background.
  assert.equal(
    [
      ...compareMasks(
        record,
        logits.map(() => 0),
        [2, 3],
        'pet',
      ).classes,
    ],
    [0, 0, 2, 2, 2, 2],
  );
});

test('an overlay is read back whichever view it was written for', () => {
  const mask = compareMasks(record, logits, [2, 3], 'ignore');
  const pictures = VIEWS.map((view) => overlayPng(mask, view));
  for (const png of pictures) assert.equal(readOverlay(png, 'overlay'), mask);
  // The three differ in their colours.
  const colours = pictures.map((png) => decodePhoto(png, 'overlay').pixels.join());
  assert.is(new Set(colours).size, 3);
});

test('Dice of a compared mask: ignored pixels do not count, and nothing against nothing is 1', () => {
  const dice = (...classes: number[]) =>
    maskDice({ height: 1, width: classes.length, classes: Uint8Array.from(classes) });
  assert.is(dice(1, 2, 3, 4, 0), 0.5);
  assert.is(dice(0, 4), 1);
  assert.is(dice(0, 3), 0);
});

test('the shown samples fill whole batches and are spread over the split', () => {
  const split = Array.from({ length: 20 }, (_, i) => 100 + i);
  assert.equal(shownSamples(split, 8), [100, 103, 106, 110, 113, 116]);
  assert.is(shownSamples(split, 4).length, 4);
  assert.is(shownSamples(split, 5).length, 5);
  assert.is(shownSamples(split, 1).length, 6);
  assert.equal(shownSamples([7, 8], 8), [7, 8]);
  assert.equal(shownSamples([7], 1), [7]);
});

test('epochs: at most so many, the last among them, those of another life of the run left out', () =>
  inDirectory(async (directory) => {
    const folder = RunFolder.create({ path: directory, name: '' });
    const source = pictureSource(folder, ['inner/one', 'two'], 'valid');
    for (let epoch = 1; epoch <= 7; epoch++) await writeEpochPictures(source, epoch);
    assert.ok(existsSync(join(directory, 'pictures', 'epoch-007.png')));
    const samples = readEpochPictures(folder, 5, 3);
    assert.equal(
      samples.map(({ name, masks }) => [name, ...masks.keys()]),
      [
        ['inner/one', 1, 3, 5],
        ['two', 1, 3, 5],
      ],
    );
    assert.is(maskDice(samples[0].masks.get(5)!), 0.5);
  }));

test('the sheets of a run, and the panels of its report', () =>
  inDirectory(async (directory) => {
    const folder = await someRun(directory, 1);
    const sheet = (name: string) => decodePhoto(readFileSync(join(folder.file('pictures'), name)), name);
    for (const name of ['worst.png', 'median.png', 'best.png']) {
      const { width, height } = sheet(name);
      assert.ok(width > 4 * 192 && height > 8 * 192, `${name}: ${width}x${height}`);
    }
    const panel = readCase(folder, 'Cat_0')!;
    assert.equal([panel.mask.height, panel.mask.width], [16, 16]);
    assert.is(decodePhoto(panel.photo, 'photo').width, 16);
    assert.is(readCase(folder, 'none'), undefined);
  }));

test('what is put into HTML is escaped, lists are joined, and data cannot end its element', () => {
  const name = `<b>"it's" & more</b>`;
  assert.is(
    html`<p title="${name}">${['a', html`<i>${1}</i>`]}${undefined}${false}</p>`.text,
    '<p title="&lt;b&gt;&quot;it&#39;s&quot; &amp; more&lt;/b&gt;">a<i>1</i></p>',
  );
  assert.not.match(jsonScript('</script><script>').text.slice(8, -9), '</script>');
});

test.run();
