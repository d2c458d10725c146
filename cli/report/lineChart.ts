/** Panels of lines over epochs: the curves of a run, or of several. */
import { axis, type Chart, drawChart, type Frame, heading, type HoverPoint, niceStep, textWidth } from './chart.js';
import { INK, MUTED, PAPER } from './palette.js';

export interface Line {
  name: string;
  colour: string;
  dashed?: boolean;
  /** Epoch and value. */
  points: readonly (readonly [number, number])[];
}

export interface LinePanel {
  title: string;
  lines: readonly Line[];
  /** As text, where a value is pointed at. */
  format: (value: number) => string;
  /** Beside the axis; default: as few digits as tell the values apart. */
  axisFormat?: (value: number) => string;
  /** Epochs that are marked by a vertical line, with the value that is ringed. */
  marks?: readonly { epoch: number; value?: number; colour: string }[];
  /** Height of the axes in pixels. */
  height: number;
  /** Where values span orders of magnitude. */
  logarithmic?: boolean;
}

export interface LineChart {
  id: string;
  width: number;
  columns: 1 | 2;
  /** Above the legend; a page has its own headings. */
  title?: string;
  panels: readonly LinePanel[];
  /** The axis ends here, or at the last point. */
  lastEpoch?: number;
}

const MARGIN = { left: 58, right: 18, heading: 30, below: 44 };
const TITLE_HEIGHT = 34;
const LEGEND_LINE = 22;

export function lineChart({ id, width, columns, title, panels, lastEpoch = 1 }: LineChart): Chart {
  // A panel of one line says by its title what that is.
  const named = panels.filter(({ lines }) => lines.length > 1);
  const names = [...new Set(named.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  const top = (title ? TITLE_HEIGHT : 4) + LEGEND_LINE * legendLines(names, width) + 8;
  const { frames, height } = placePanels(panels, columns, width, top);
  const epochs = epochAxis(Math.max(lastEpoch, ...panels.flatMap(lastOf)));
  const option = {
    title: [
      ...(title ? [{ ...heading(title, 12, 8), textStyle: { color: INK, fontSize: 17, fontWeight: 'bold' } }] : []),
      ...panels.map((panel, i) => heading(panel.title, frames[i].left - MARGIN.left + 12, frames[i].top - 24)),
    ],
    legend: {
      data: names,
      left: 8,
      top: title ? TITLE_HEIGHT : 2,
      itemWidth: 30,
      itemHeight: 8,
      selectedMode: false,
      textStyle: { color: INK, fontSize: 12 },
    },
    grid: frames.map((frame) => ({
      left: frame.left,
      top: frame.top,
      width: frame.right - frame.left,
      height: frame.bottom - frame.top,
    })),
    xAxis: panels.map((_, gridIndex) =>
      axis({ type: 'value', gridIndex, name: 'epoch', nameGap: 24, ...epochs }, false),
    ),
    yAxis: panels.map(({ logarithmic, axisFormat = shortNumber }, gridIndex) =>
      axis(
        {
          type: logarithmic ? 'log' : 'value',
          gridIndex,
          scale: true,
          splitNumber: 4,
          axisLabel: { formatter: axisFormat },
        },
        true,
      ),
    ),
    series: panels.flatMap((panel, grid) =>
      panel.lines.map((line, i) => series(line, grid, i === 0 ? panel : undefined)),
    ),
  };
  return drawChart(id, width, height, option, (toPixel) =>
    panels.map((panel, grid) => ({
      ...frames[grid],
      by: 'x' as const,
      names: panel.lines.map(({ name }) => name),
      colours: panel.lines.map(({ colour }) => colour),
      points: hoverPoints(panel, (epoch) => toPixel(grid, [epoch, 1])[0]),
    })),
  );
}

const lastOf = ({ lines }: LinePanel): number[] => lines.map(({ points }) => points.at(-1)?.[0] ?? 1);

/** Lines that ECharts will break the legend into. */
function legendLines(names: readonly string[], width: number): number {
  let lines = Math.min(names.length, 1);
  let used = 16;
  for (const name of names) {
    const own = 50 + textWidth(name, 12);
    if (used > 16 && used + own > width) [lines, used] = [lines + 1, 16];
    used += own;
  }
  return lines;
}

function placePanels(panels: readonly LinePanel[], columns: number, width: number, top: number) {
  const frames: Frame[] = [];
  const each = width / columns;
  let height = top;
  for (let first = 0; first < panels.length; first += columns) {
    const row = panels.slice(first, first + columns);
    const tallest = Math.max(...row.map((panel) => panel.height));
    row.forEach((_, column) => {
      const frameTop = height + MARGIN.heading;
      const left = column * each + MARGIN.left;
      frames.push({ left, top: frameTop, right: (column + 1) * each - MARGIN.right, bottom: frameTop + tallest });
    });
    height += MARGIN.heading + tallest + MARGIN.below;
  }
  return { frames, height: Math.round(height) };
}

/** Whole epochs only: one stands in the middle of its axis, a few begin at 1, many at 0. */
function epochAxis(last: number): Record<string, unknown> {
  const interval = last === 1 ? 0.5 : Math.max(1, niceStep(last, 8));
  const range = last === 1 ? { min: 0.5, max: 1.5 } : { min: interval === 1 ? 1 : 0, max: last };
  const formatter = (epoch: number) => (epoch % Math.max(1, interval) === 0 ? String(epoch) : '');
  return { ...range, interval, axisLabel: { formatter } };
}

/** Without the digits that binary fractions add. */
const shortNumber = (value: number): string =>
  Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential() : String(+value.toFixed(6));

/** @param marked the panel, for the one series that carries its marks */
function series({ name, colour, dashed, points }: Line, grid: number, marked?: LinePanel): Record<string, unknown> {
  const marks = marked?.marks ?? [];
  return {
    type: 'line',
    name,
    xAxisIndex: grid,
    yAxisIndex: grid,
    color: colour,
    data: points,
    silent: true,
    // One point has no line to be seen by.
    showSymbol: points.length <= 30,
    symbol: 'circle',
    symbolSize: points.length === 1 ? 9 : 5,
    itemStyle: { color: colour },
    lineStyle: { color: colour, width: 2, type: dashed ? [6, 4] : 'solid' },
    markLine: {
      silent: true,
      symbol: 'none',
      label: { show: false },
      data: marks.map((mark) => ({
        xAxis: mark.epoch,
        lineStyle: { color: MUTED, width: 1, type: [2, 3] },
      })),
    },
    markPoint: {
      silent: true,
      symbol: 'circle',
      symbolSize: 12,
      label: { show: false },
      data: marks.flatMap(({ epoch, value, colour: own }) =>
        value === undefined
          ? []
          : [{ coord: [epoch, value], itemStyle: { color: PAPER, borderColor: own, borderWidth: 3 } }],
      ),
    },
  };
}

function hoverPoints({ lines, format }: LinePanel, xOf: (epoch: number) => number): HoverPoint[] {
  const epochs = [...new Set(lines.flatMap(({ points }) => points.map(([epoch]) => epoch)))].sort((a, b) => a - b);
  const values = lines.map(({ points }) => new Map(points));
  return epochs.map((epoch) => [
    Math.round(xOf(epoch) * 10) / 10,
    0,
    `epoch ${epoch}`,
    ...values.map((own) => (own.has(epoch) ? format(own.get(epoch)!) : '')),
  ]);
}
