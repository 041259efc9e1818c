// SPDX-License-Identifier: Apache-2.0
// Columns of a chart: one time grid, one Float64Array per series, NaN where there is no value.
// Charts, legends, tables, summaries and exports all read this and nothing else.

export type Labels = Record<string, string>;

/** What a series is to the reader: measured, foretold, or an end of the interval around a forecast. */
export type Role = "measured" | "predicted" | "lower" | "upper";

export interface Series {
  name: string;
  labels: Labels;
  role: Role;
  values: Float64Array;
  /** Position of its query in the panel. */
  query?: number;
  /** Fixed colour; without it a chart hands them out in order. */
  colour?: string | undefined;
}

export interface Frame {
  /** Unix milliseconds, ascending, evenly spaced; `series[i].values` aligns with it. */
  times: Float64Array;
  series: Series[];
}

export const EMPTY_FRAME: Frame = { times: new Float64Array(0), series: [] };

/** `name{a="b"}`, as Prometheus prints a series. */
export function seriesName(labels: Labels): string {
  const { __name__: metric = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return pairs.length === 0 ? metric || "value" : `${metric}{${pairs.join(", ")}}`;
}

/** Fills `{{label}}` from `labels`; without a template (or when all its labels are absent) the full name. */
export function legendName(template: string | undefined, labels: Labels): string {
  if (template === undefined) return seriesName(labels);
  const wanted = [...template.matchAll(/\{\{\s*([\w.]+)\s*\}\}/g)].map((match) => match[1] ?? "");
  if (wanted.length > 0 && wanted.every((name) => labels[name] === undefined)) return seriesName(labels);
  return template.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_, name: string) => labels[name] ?? "").trim();
}

/** Frames on one grid (all times are multiples of one step). Later ends win nothing: the union is kept. */
export function joinFrames(frames: Frame[]): Frame {
  const filled = frames.filter((frame) => frame.times.length > 0);
  const first = filled[0];
  if (first === undefined) return EMPTY_FRAME;
  const series = filled.flatMap((frame) => frame.series);
  if (filled.every((frame) => sameTimes(frame.times, first.times))) {
    return { times: first.times, series: distinctNames(series) };
  }
  const times = Float64Array.from(new Set(filled.flatMap((frame) => [...frame.times]))).sort();
  const position = new Map([...times].map((time, index) => [time, index]));
  const moved = filled.flatMap((frame) =>
    frame.series.map((one) => {
      const values = new Float64Array(times.length).fill(Number.NaN);
      frame.times.forEach((time, index) => {
        values[position.get(time) ?? 0] = one.values[index] ?? Number.NaN;
      });
      return { ...one, values };
    }),
  );
  return { times, series: distinctNames(moved) };
}

function sameTimes(one: Float64Array, other: Float64Array): boolean {
  return one.length === other.length && one[0] === other[0] && one.at(-1) === other.at(-1);
}

/** Two series of one name cannot be told apart in a legend: the later ones show all their labels. */
function distinctNames(series: Series[]): Series[] {
  const seen = new Set<string>();
  return series.map((one) => {
    let name = one.name;
    if (seen.has(name)) name = seriesName(one.labels);
    for (let copy = 2; seen.has(name); copy += 1) name = `${seriesName(one.labels)} (${copy})`;
    seen.add(name);
    return name === one.name ? one : { ...one, name };
  });
}

/** Newest value that is not NaN, with its position; null when there is none. */
export function latest(values: Float64Array): { value: number; index: number } | null {
  for (let index = values.length - 1; index >= 0; index -= 1) {
    const value = values[index] ?? Number.NaN;
    if (!Number.isNaN(value)) return { value, index };
  }
  return null;
}

export interface Extent {
  min: number;
  max: number;
}

/** Smallest and largest finite value; null when there is none. */
export function extent(values: Float64Array): Extent | null {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return min <= max ? { min, max } : null;
}

/** Whether there is anything to draw. */
export function isEmpty(frame: Frame): boolean {
  return frame.series.every((one) => latest(one.values) === null);
}

/** Attributes that let a test ask the server the same question: query, time (unix seconds), value. */
export function dataOf(one: Series | undefined, times: Float64Array): Record<string, number | string> {
  const now = one && latest(one.values);
  if (!now) return {};
  return {
    "data-query": one.query ?? 0,
    "data-labels": JSON.stringify(one.labels),
    "data-time": (times[now.index] ?? 0) / 1000,
    "data-value": now.value,
  };
}
