// SPDX-License-Identifier: Apache-2.0
// Several lines and an interval on one scale, as SVG path data: a small chart without the chart library.
import { extent, type Frame, type Series } from "./frame";
import { interval, lines } from "./option";

export interface Overlay {
  lines: { series: Series; path: string }[];
  /** Closed outline of the interval, empty without one. */
  band: string;
  /** Grid lines: value and height, from the top. */
  ticks: { value: number; y: number }[];
}

const TICKS = 3;

/** 1, 2 or 5 times a power of ten: the smallest that is at least `least`. */
export function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999) ?? least;
}

/** Paths in a box of `width` x `height`; the value axis ends at round values. Empty for a frame without values. */
export function overlay(frame: Frame, width: number, height: number): Overlay {
  const extents = frame.series.flatMap((one) => extent(one.values) ?? []);
  if (extents.length === 0 || frame.times.length < 2) return { lines: [], band: "", ticks: [] };
  const low = Math.min(...extents.map((one) => one.min));
  const high = Math.max(...extents.map((one) => one.max));
  const step = roundStep(Math.max((high - low) / TICKS, Math.abs(high) * 1e-3, 1e-9));
  const bottom = Math.floor(low / step) * step;
  const top = Math.max(Math.ceil(high / step) * step, bottom + step);
  const x = (index: number) => round((index / (frame.times.length - 1)) * width);
  const y = (value: number) => round(height - ((value - bottom) / (top - bottom)) * height);
  const band = interval(frame);
  const count = Math.round((top - bottom) / step);
  return {
    lines: lines(frame).map((series) => ({ series, path: open(series.values, x, y) })),
    band: band ? closed(band.lower.values, band.upper.values, x, y) : "",
    ticks: Array.from({ length: count + 1 }, (_, index) => {
      const value = bottom + index * step;
      return { value: Math.abs(value) < step * 1e-6 ? 0 : value, y: y(value) };
    }),
  };
}

type Place = (value: number) => number;

/** A gap (NaN) lifts the pen. */
function open(values: Float64Array, x: Place, y: Place): string {
  let path = "";
  let down = false;
  values.forEach((value, index) => {
    if (Number.isFinite(value)) path += `${down ? "L" : "M"}${x(index)} ${y(value)}`;
    down = Number.isFinite(value);
  });
  return path;
}

/** Along the upper end and back along the lower, once per run without a gap. */
function closed(lower: Float64Array, upper: Float64Array, x: Place, y: Place): string {
  let path = "";
  let run: number[] = [];
  const finish = () => {
    const there = run.map((index) => `${x(index)} ${y(upper[index] ?? 0)}`);
    const back = run.toReversed().map((index) => `${x(index)} ${y(lower[index] ?? 0)}`);
    if (run.length > 1) path += `M${[...there, ...back].join("L")}Z`;
    run = [];
  };
  lower.forEach((value, index) => {
    if (Number.isFinite(value) && Number.isFinite(upper[index] ?? Number.NaN)) run.push(index);
    else finish();
  });
  finish();
  return path;
}

const round = (value: number) => Math.round(value * 10) / 10;
