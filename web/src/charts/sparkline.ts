// SPDX-License-Identifier: Apache-2.0
// A line the size of a word, as SVG path data: drawn before (and without) the chart library.

/** Paths in a box of `width` x `height`; a gap (NaN) lifts the pen. */
export interface Sparkline {
  line: string;
  area: string;
}

/** Room for half the stroke at the edges, in box units. */
const EDGE = 1.5;

/** The value axis starts at zero where asked to, or where values come near it; else it fits the values. */
export function sparkline(all: Float64Array, width: number, height: number, fromZero = false): Sparkline {
  const finite = all.filter((value) => Number.isFinite(value));
  // What began within the range fills the box: a course of a minute would be a speck in an hour.
  const values = all.subarray(Math.max(0, all.findIndex(Number.isFinite)));
  if (finite.length === 0 || values.length < 2) return { line: "", area: "" };
  const max = finite.reduce((a, b) => Math.max(a, b));
  const low = finite.reduce((a, b) => Math.min(a, b));
  const min = low > 0 && (fromZero || low < max * 0.8) ? 0 : low;
  const size = max - min;
  const x = (index: number) => (index / (values.length - 1)) * width;
  const y = (value: number) =>
    size === 0 ? height / 2 : height - EDGE - ((value - min) / size) * (height - 2 * EDGE);
  let line = "";
  let area = "";
  let start = -1;
  const close = (end: number) => {
    if (start >= 0) area += `L${round(x(end))} ${height}L${round(x(start))} ${height}Z`;
    start = -1;
  };
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) {
      close(index - 1);
      return;
    }
    const pen = start < 0 ? "M" : "L";
    if (start < 0) start = index;
    const point = `${pen}${round(x(index))} ${round(y(value))}`;
    line += point;
    area += point;
  });
  close(values.length - 1);
  return { line, area };
}

const round = (value: number) => Math.round(value * 10) / 10;
