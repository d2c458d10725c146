/** Charts as SVG text, drawn by ECharts without a browser, and what a page needs to show their values. */
import { BarChart, BoxplotChart, LineChart, ScatterChart } from 'echarts/charts';
import {
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  MarkPointComponent,
  TitleComponent,
} from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { GRID_LINE, INK, MUTED } from './palette.js';

echarts.use([
  BarChart,
  BoxplotChart,
  LineChart,
  ScatterChart,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  MarkPointComponent,
  TitleComponent,
  SVGRenderer,
]);

/** The one family that the pictures are drawn with; the page falls back to the reader's own. */
export const FONT = 'DejaVu Sans';

/** About what a text takes in that font, which is a wide one. */
export const textWidth = (text: string, size: number): number => 0.61 * size * text.length;

echarts.setPlatformAPI({
  measureText: (text, font = '12px') => ({ width: textWidth(text, Number(/([\d.]+)px/.exec(font)?.[1] ?? 12)) }),
});

/** A rectangle in the chart's pixels in which values can be pointed at. */
export interface HoverPanel {
  left: number;
  top: number;
  right: number;
  bottom: number;
  /** By what the nearest point is found: its column, its row, or its distance. */
  by: 'x' | 'y' | 'xy';
  /** What each of a point's values is. */
  names: readonly string[];
  /** Colours of the names, if they have any. */
  colours: readonly string[];
  points: readonly HoverPoint[];
}

/** Where a point is, what it is ("epoch 3"), and its values as text, in the order of the names ("" where it has none). */
export type HoverPoint = readonly [x: number, y: number, title: string, ...values: string[]];

export interface Chart {
  svg: string;
  width: number;
  height: number;
  panels: readonly HoverPanel[];
}

/** The part of an ECharts instance that places points: pixels of a value in a grid. */
export type ToPixel = (grid: number, point: readonly [number | string, number | string]) => readonly [number, number];

/**
 * Draws ECharts' `option`.
 * @param id distinguishes the definitions of charts that stand in one page
 * @param panels what can be pointed at, made from the places of the values once these are known
 */
export function drawChart(
  id: string,
  width: number,
  height: number,
  option: Record<string, unknown>,
  panels: (toPixel: ToPixel) => readonly HoverPanel[],
): Chart {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: FONT, color: INK }, ...option });
    const svg = chart
      .renderToSVGString()
      // ECharts numbers its charts over the life of the process; a file should be the same whenever it is written.
      .replace(/zr\d+-/g, `${id}-`)
      // What is left of ECharts' own interaction, which runs in its script only.
      .replace(/<style ?>.*?<\/style>/s, '')
      .replace(/ (class|ecmeta_[a-z_]+|pointer-events)="[^"]*"/g, '');
    const toPixel: ToPixel = (grid, point) =>
      chart.convertToPixel({ xAxisIndex: grid, yAxisIndex: grid }, [...point]) as [number, number];
    return { svg, width, height, panels: panels(toPixel) };
  } finally {
    chart.dispose();
  }
}

/** Where the axes of one panel stand. */
export interface Frame {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** ECharts' options of an axis in the style that all charts share. */
export function axis(own: Record<string, unknown>, lines: boolean): Record<string, unknown> {
  const label = { color: MUTED, fontSize: 12, hideOverlap: true, ...(own.axisLabel as object) };
  return {
    nameLocation: 'middle',
    nameTextStyle: { color: MUTED, fontSize: 12 },
    axisLine: { show: !lines, onZero: false, lineStyle: { color: MUTED } },
    axisTick: { show: false },
    splitLine: { show: lines, lineStyle: { color: GRID_LINE } },
    ...own,
    axisLabel: label,
  };
}

/** ECharts' options of a panel's heading. */
export const heading = (text: string, left: number, top: number): Record<string, unknown> => ({
  text,
  left,
  top,
  padding: 0,
  textStyle: { color: INK, fontSize: 14, fontWeight: 'bold' },
});

/** A step of 1, 2 or 5 times a power of ten that divides `range` into at most `count` parts. */
export function niceStep(range: number, count: number): number {
  const least = range / count;
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = [1, 2, 5, 10].find((one) => one * power >= least * (1 - 1e-9))!;
  return factor * power;
}
