// SPDX-License-Identifier: Apache-2.0
// Frame -> ECharts option: pure, so that every chart is tested without a browser.
//
// Values go in as columns (`dataset` of typed arrays), the fastest form ECharts takes. The tooltip is drawn in
// the canvas (`richText`): the HTML one writes inline styles, which the page's CSP forbids.
import type { EChartsCoreOption } from "echarts/core";
import { axisTime, dateTime, formatValue, type Unit } from "../lib/format";
import { extent, type Frame, type Series } from "./frame";
import { type Palette, seriesColour } from "./palette";

/** A line to stay below (or above), drawn across the chart. */
export interface Threshold {
  value: number;
  label: string;
}

export interface LineStyle {
  unit: Unit;
  palette: Palette;
  /** Unix milliseconds; both ends of the time axis. */
  from: number;
  to: number;
  /** Fill below the lines. */
  area?: boolean;
  /** Start the value axis at zero. */
  zero?: boolean;
  threshold?: Threshold;
  /** Lines that the tooltip may have. */
  tooltipRows?: number;
}

/** Rows of series that fit a tooltip in a chart of `height` pixels, beside its time and a last line. */
export function tooltipRows(height: number): number {
  return Math.max(TOOLTIP_ROWS, Math.floor(height / TOOLTIP_ROW_PX) - 3);
}

/** More lines than these cannot be read; the legend offers the rest. */
export const SERIES_MAX = 20;
/** A tooltip taller than its chart is cut off: this many rows fit the lowest one. */
const TOOLTIP_ROWS = 5;
/** ECharts draws each line of a canvas tooltip this high. */
const TOOLTIP_ROW_PX = 22;

/** Colour of each series: measured and predicted keep theirs where a chart has one of each. */
export function colours(frame: Frame, palette: Palette): string[] {
  const paired = frame.series.some((one) => one.role !== "measured") && count(frame, "measured") <= 1;
  let position = 0;
  return frame.series.map((one) => {
    if (one.colour !== undefined) return one.colour;
    if (paired && count(frame, "predicted") <= 1) {
      return one.role === "measured" ? palette.measured : palette.predicted;
    }
    const colour = seriesColour(palette, position);
    position += 1;
    return colour;
  });
}

function count(frame: Frame, role: Series["role"]): number {
  return frame.series.filter((one) => one.role === role).length;
}

/** The interval around a forecast, when both its ends are there. */
export function interval(frame: Frame): { lower: Series; upper: Series } | null {
  const lower = frame.series.find((one) => one.role === "lower");
  const upper = frame.series.find((one) => one.role === "upper");
  return lower && upper ? { lower, upper } : null;
}

/** Series that are lines (the ends of an interval are a band). */
export function lines(frame: Frame): Series[] {
  return frame.series.filter(isLine);
}

function isLine({ role }: Series): boolean {
  return role === "measured" || role === "predicted";
}

/** The lines that can be read at once, and the interval. */
export function firstLines(frame: Frame): Frame {
  const kept = new Set(lines(frame).slice(0, SERIES_MAX));
  return { ...frame, series: frame.series.filter((one) => kept.has(one) || !isLine(one)) };
}

/** Without the hidden lines; the others keep the colours that they had among all. */
export function visibleLines(frame: Frame, hidden: ReadonlySet<string>, palette: Palette): Frame {
  const colour = colours(frame, palette);
  const fixed = frame.series.map((one, index) => ({ ...one, colour: colour[index] }));
  return { ...frame, series: fixed.filter((one) => !hidden.has(one.name)) };
}

function lineSeries(one: Series, index: number, colour: string, style: LineStyle) {
  const predicted = one.role === "predicted";
  return {
    type: "line",
    id: `line-${index}`,
    name: one.name,
    encode: { x: "time", y: `s${index}` },
    color: colour,
    lineStyle: { width: predicted ? 2.25 : 1.75, type: predicted ? [7, 4] : "solid", color: colour },
    ...(style.area ? { areaStyle: { color: colour, opacity: 0.16 } } : {}),
    showSymbol: isSparse(one.values),
    symbol: "circle",
    symbolSize: 5,
    emphasis: { disabled: true },
    connectNulls: false,
    z: predicted ? 4 : 3,
    ...(index === 0 && style.threshold ? { markLine: thresholdLine(style.threshold, style) } : {}),
  };
}

/** A lone point draws no line: show it as a dot. */
function isSparse(values: Float64Array): boolean {
  let found = 0;
  for (const value of values) if (!Number.isNaN(value)) found += 1;
  return found === 1;
}

function thresholdLine({ value, label }: Threshold, { palette }: LineStyle) {
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: palette.danger, type: [2, 3], width: 1.25 },
    label: { formatter: label, position: "insideEndTop", color: palette.danger, fontSize: 11 },
    data: [{ yAxis: value }],
  };
}

/** A band is two stacked series: the lower end, unseen, and the distance to the upper end, filled. */
function bandSeries(palette: Palette) {
  const common = {
    type: "line",
    stack: "interval",
    stackStrategy: "all",
    showSymbol: false,
    silent: true,
    connectNulls: false,
    emphasis: { disabled: true },
    lineStyle: { width: 0, opacity: 0 },
    z: 1,
  };
  return [
    { ...common, id: "band-lower", name: "lower", encode: { x: "time", y: "lower" } },
    {
      ...common,
      id: "band-upper",
      name: "upper",
      encode: { x: "time", y: "width" },
      areaStyle: { color: palette.band, opacity: 1 },
    },
  ];
}

function difference(upper: Float64Array, lower: Float64Array): Float64Array {
  return upper.map((value, index) => value - (lower[index] ?? Number.NaN));
}

/** Text under the cursor: the time, each line's value, the interval. */
export function tooltipText(
  frame: Frame,
  index: number,
  unit: Unit,
  markers: readonly string[] = [],
  most = TOOLTIP_ROWS,
): string {
  const rows = lines(frame)
    .map((one, position) => ({ one, value: one.values[index] ?? Number.NaN, mark: markers[position] ?? "" }))
    .filter(({ value }) => !Number.isNaN(value));
  const shown = rows.length > most ? rows.sort((a, b) => b.value - a.value) : rows;
  const text = [dateTime(frame.times[index] ?? 0)];
  for (const { one, value, mark } of shown.slice(0, most)) {
    text.push(`${mark}${shorten(one.name)}  ${formatValue(value, unit)}`);
  }
  if (rows.length > most) text.push(`and ${rows.length - most} lower`);
  const band = interval(frame);
  const low = band?.lower.values[index] ?? Number.NaN;
  if (band && !Number.isNaN(low)) {
    text.push(`interval  ${formatValue(low, unit)} to ${formatValue(band.upper.values[index], unit)}`);
  }
  return text.join("\n");
}

const NAME_MAX = 42;

/** Long names keep their ends, where they differ. Braces would be read as rich text. */
function shorten(name: string): string {
  const plain = name.replaceAll("{", "(").replaceAll("}", ")").replaceAll("|", "/");
  return plain.length <= NAME_MAX ? plain : `${plain.slice(0, 20)}\u2026${plain.slice(-20)}`;
}

interface Sizes {
  contentSize: [number, number];
  viewSize: [number, number];
}

/** On the side with more room, at the top: never over the values that it tells. */
export function besideCursor(
  point: [number, number],
  _params: unknown,
  _element: unknown,
  _rectangle: unknown,
  { contentSize, viewSize }: Sizes,
): [number, number] {
  const left = point[0] > viewSize[0] / 2;
  return [left ? point[0] - contentSize[0] - 16 : point[0] + 16, 2];
}

interface TooltipItem {
  dataIndex: number;
  seriesId?: string;
  marker?: unknown;
}

/** Option of a time chart. The same ids come back on every update, so ECharts moves instead of rebuilding. */
export function lineOption(frame: Frame, style: LineStyle): EChartsCoreOption {
  const { palette, unit } = style;
  const drawn = lines(frame);
  const palettes = colours({ ...frame, series: drawn }, palette);
  const band = interval(frame);
  const columns: Record<string, Float64Array> = { time: frame.times };
  drawn.forEach((one, index) => {
    columns[`s${index}`] = one.values;
  });
  if (band) {
    columns.lower = band.lower.values;
    columns.width = difference(band.upper.values, band.lower.values);
  }
  return {
    animation: false,
    aria: { enabled: false },
    backgroundColor: "transparent",
    textStyle: { color: palette.text, fontFamily: "system-ui, sans-serif" },
    grid: {
      left: 8,
      right: 14,
      top: 12,
      bottom: 4,
      outerBoundsMode: "same",
      outerBoundsContain: "axisLabel",
    },
    dataset: { source: columns, dimensions: Object.keys(columns) },
    xAxis: timeAxis(style),
    yAxis: valueAxis(frame, style),
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      position: besideCursor,
      transitionDuration: 0,
      backgroundColor: palette.surface,
      borderColor: palette.gridLine,
      padding: [6, 9],
      textStyle: { color: palette.text, fontSize: 12, lineHeight: 17 },
      axisPointer: { type: "line", lineStyle: { color: palette.axis, type: "solid", width: 1 } },
      formatter: (params: TooltipItem | TooltipItem[]) => {
        const items = Array.isArray(params) ? params : [params];
        const markers = drawn.map((_, index) => {
          const marker = items.find((item) => item.seriesId === `line-${index}`)?.marker;
          return typeof marker === "string" ? marker : "";
        });
        return tooltipText(
          { ...frame, series: [...drawn, ...(band ? [band.lower, band.upper] : [])] },
          items[0]?.dataIndex ?? 0,
          unit,
          markers,
          style.tooltipRows,
        );
      },
    },
    series: [
      ...(band ? bandSeries(palette) : []),
      ...drawn.map((one, index) => lineSeries(one, index, palettes[index] ?? palette.measured, style)),
    ],
  };
}

function timeAxis({ palette, from, to }: LineStyle) {
  return {
    type: "time",
    min: from,
    max: to,
    splitNumber: 5,
    axisLine: { lineStyle: { color: palette.gridLine } },
    axisTick: { show: false },
    axisLabel: {
      color: palette.axis,
      fontSize: 11,
      hideOverlap: true,
      formatter: (value: number) => axisTime(value, to - from),
    },
    splitLine: { show: false },
  };
}

function valueAxis(frame: Frame, { palette, unit, zero, area, threshold }: LineStyle) {
  const fromZero = zero || area;
  return {
    type: "value",
    scale: !fromZero,
    splitNumber: 4,
    minInterval: unit === "count" && isWhole(frame) ? 1 : 0,
    axisLabel: { color: palette.axis, fontSize: 11, formatter: (value: number) => formatValue(value, unit) },
    splitLine: { lineStyle: { color: palette.gridLine } },
    // A threshold that is out of sight warns nobody.
    ...(threshold
      ? { max: ({ max }: { max: number }) => (max < threshold.value ? threshold.value * 1.2 : null) }
      : {}),
    ...(unit === "bytes" && fromZero ? byteTicks(frame) : {}),
  };
}

function isWhole(frame: Frame): boolean {
  return lines(frame).every((one) =>
    one.values.every((value) => Number.isNaN(value) || Number.isInteger(value)),
  );
}

/** Ticks at round binary sizes: ECharts' own are round in tens, 9.54 MiB. */
export function byteTicks(frame: Frame): { interval?: number; max?: number } {
  const max = lines(frame).reduce((most, one) => Math.max(most, extent(one.values)?.max ?? 0), 0);
  if (max < 4) return {};
  const wanted = max / 4;
  const unit = 1024 ** Math.floor(Math.log2(wanted) / 10);
  const round = [1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 250, 256, 500, 512, 1024];
  const interval = (round.find((size) => size * unit >= wanted) ?? 1024) * unit;
  return { interval, max: Math.ceil(max / interval) * interval };
}
