import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Chart } from '../../../cli/report/chart.js';
import { bestEpoch, curves } from '../../../cli/report/curves.js';
import { histogramChart } from '../../../cli/report/distribution.js';
import { withPageColours } from '../../../cli/report/palette.js';
import { svgToPng } from '../../../cli/report/raster.js';
import { describeFit } from '../../../cli/report/runSections.js';
import { decodePhoto } from '../../../data/decode.js';
import { someHistory, somePhotos } from '../../helpers/report.js';

const test = suite('cli/report/curves');

const draw = (epochs: number, columns: 1 | 2 = 2): Chart =>
  curves(someHistory(epochs), { id: 'c', width: columns === 2 ? 1000 : 366, columns, title: 'run <1>' });

test('the curves of one epoch, of few and of many name what they show', () => {
  for (const epochs of [1, 3, 30, 200]) {
    const { svg } = draw(epochs);
    assert.not.match(svg, /NaN|Infinity|undefined/);
    for (const text of [
      'run &lt;1&gt;',
      'training, with augmentation',
      'validation',
      'Loss',
      'Learning rate',
      'epoch',
    ]) {
      assert.ok(svg.includes(`>${text}`), `${epochs} epochs: no ${text}`);
    }
    assert.match(svg, `(best 0.9000, epoch ${Math.floor(epochs / 2) + 1})`);
  }
  assert.match(draw(1).svg, /<circle|<path[^>]*fill="#0072b2"/, 'one epoch shows no point');
});

test('the same history gives the same file', () => {
  assert.is(draw(5).svg, draw(5).svg);
});

test('each point can be pointed at: inside its panel, with its values', () => {
  for (const columns of [1, 2] as const) {
    const { panels, width, height } = draw(4, columns);
    assert.is(panels.length, 4);
    for (const { left, right, top, bottom, points, names } of panels) {
      assert.ok(0 <= left && left < right && right <= width && 0 <= top && top < bottom && bottom <= height);
      assert.is(points.length, 4);
      for (const [x, , title, ...values] of points) {
        assert.ok(left <= x && x <= right, `${title} at ${x}`);
        assert.is(values.length, names.length);
      }
    }
    assert.equal(panels[0].points[0].slice(2), ['epoch 1', '1.0000', '0.8000']);
    assert.equal(panels[2].points[1].slice(2), ['epoch 2', '5e-4']);
  }
});

test('the best epoch is the first of equals', () => {
  const history = someHistory(4).map((record) => ({ ...record, valid_dice: 0.5 }));
  assert.is(bestEpoch(history)!.epoch, 1);
  assert.is(bestEpoch([]), undefined);
});

test('the picture holds letters, with no font of the machine', () => {
  const svg = (text: string) =>
    `<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20"><text x="2" y="15" font-family="DejaVu Sans">${text}</text></svg>`;
  const ink = (text: string) => {
    const { pixels, width } = decodePhoto(svgToPng(svg(text), 2), 'picture');
    assert.is(width, 120);
    return pixels.filter((value) => value < 128).length;
  };
  assert.is(ink(''), 0);
  assert.ok(ink('W') > ink('i') && ink('i') > 0);
  const { width, height } = decodePhoto(svgToPng(draw(3).svg, 2), 'curves');
  assert.equal([width, height], [2000, draw(3).height * 2]);
});

test('colours in a page are variables', () => {
  const { svg } = draw(3);
  const inPage = withPageColours(svg);
  assert.match(inPage, 'stroke="var(--blue)"');
  assert.not.match(inPage, '#0072b2');
});

test('overfitting is said when the validation loss rises while the training loss falls', () => {
  assert.match(describeFit(someHistory(20))!, /lowest in epoch 11 \(0\.3000\) and is 150 % higher now/);
  assert.is(describeFit(someHistory(2)), undefined);
  assert.is(describeFit([]), undefined);
  const stuck = someHistory(20).map((record) => ({ ...record, train_loss_augmented: 1 }));
  assert.is(describeFit(stuck), undefined);
});

test('a histogram of one value, and of zeros', () => {
  for (const dice of [1, 0, 0.5]) {
    const { svg, panels } = histogramChart([{ ...somePhotos(1)[0], dice }], 'h', 500);
    assert.not.match(svg, /NaN|Infinity/);
    assert.is(panels[0].points.filter((point) => point[3] === '1').length, 1);
  }
});

test.run();
