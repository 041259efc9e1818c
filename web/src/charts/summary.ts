// SPDX-License-Identifier: Apache-2.0
// What a chart shows, in words: read out where the chart cannot be seen.
import { duration, formatValue, type Unit } from "../lib/format";
import { extent, type Frame, latest } from "./frame";
import { interval, lines } from "./option";

/** Longer lists are not listened to; the table has all. */
const NAMED_MAX = 3;

/** `CPU over 15 m. measured: now 43 %, between 20 % and 61 %. ...` */
export function summarise(title: string, frame: Frame, unit: Unit): string {
  const drawn = lines(frame);
  const length = (frame.times.at(-1) ?? 0) - (frame.times[0] ?? 0);
  const parts = [`${title} over ${duration(length)}`];
  for (const one of drawn.slice(0, NAMED_MAX)) {
    const now = latest(one.values);
    const range = extent(one.values);
    if (now === null || range === null) {
      parts.push(`${one.name}: no data`);
      continue;
    }
    parts.push(
      `${one.name}: now ${formatValue(now.value, unit)}, between ${formatValue(range.min, unit)} and ${formatValue(range.max, unit)}`,
    );
  }
  if (drawn.length > NAMED_MAX) parts.push(`and ${drawn.length - NAMED_MAX} more series`);
  const band = interval(frame);
  const low = band && latest(band.lower.values);
  const high = band && latest(band.upper.values);
  if (low && high) {
    parts.push(`interval now ${formatValue(low.value, unit)} to ${formatValue(high.value, unit)}`);
  }
  return `${parts.join(". ")}.`;
}
