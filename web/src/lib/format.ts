// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them. Values come in base units (seconds, bytes, ratios), never pre-scaled.

/** What a value measures; decides scaling and suffix. */
export type Unit = "count" | "per_second" | "ratio" | "seconds" | "milliseconds" | "bytes";

const NOTHING = "\u2013";
const SI = ["", "k", "M", "G", "T", "P"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Three significant digits, without exponent for everyday sizes and without trailing zeros. */
export function digits(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e15) return value.toExponential(1);
  const decimals = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(size))));
  const text = value.toFixed(decimals);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function scaled(value: number, base: number, names: readonly string[], gap: string): string {
  let size = value;
  let step = 0;
  // 999.5 would print as 1000: move on to the next name before that.
  while (Math.abs(size) >= base * 0.9995 && step < names.length - 1) {
    size /= base;
    step += 1;
  }
  const name = names[step] ?? "";
  return name === "" ? digits(size) : `${digits(size)}${gap}${name}`;
}

function seconds(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 0.9995e-3) return `${digits(value * 1e6)} \u00b5s`;
  if (size < 0.9995) return `${digits(value * 1e3)} ms`;
  if (size < 120) return `${digits(value)} s`;
  return duration(value * 1000);
}

/** `value` in `unit`'s base unit; NaN and absent values print as a dash. */
export function formatValue(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  switch (unit) {
    case "count":
      return scaled(value, 1000, SI, " ");
    case "per_second":
      return `${scaled(value, 1000, SI, " ")}/s`;
    case "ratio":
      return `${digits(value * 100)} %`;
    case "seconds":
      return seconds(value);
    case "milliseconds":
      return seconds(value / 1000);
    case "bytes":
      return scaled(value, 1024, BINARY, " ");
  }
}

/** A length of time in its two largest parts: `1 d 2 h`, `3 m 4 s`, `250 ms`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return NOTHING;
  if (Math.abs(ms) < 1000) return `${digits(ms)} ms`;
  const parts: string[] = [];
  let rest = Math.round(ms / 1000);
  for (const [name, size] of [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0) parts.push(`${amount} ${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0 s";
}

/** How long ago, in one part: `now`, `12 s ago`, `3 h ago`. */
export function ago(thenMs: number, nowMs: number): string {
  const passed = nowMs - thenMs;
  if (passed < 1500) return "now";
  return `${duration(passed).split(" ").slice(0, 2).join(" ")} ago`;
}

const pad = (value: number, width = 2) => String(value).padStart(width, "0");

/** Local wall-clock time, 24 hours: `12:03:04`. */
export function clock(ms: number): string {
  const date = new Date(ms);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** `12:03:04.056`, for lists of events. */
export function clockMs(ms: number): string {
  return `${clock(ms)}.${pad(new Date(ms).getMilliseconds(), 3)}`;
}

/** Local date and time: `2026-08-02 12:03:04`. */
export function dateTime(ms: number): string {
  const date = new Date(ms);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(ms)}`;
}

/** Label of a time axis: the date joins in where a range is longer than a day. */
export function axisTime(ms: number, rangeMs: number): string {
  const date = new Date(ms);
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  if (rangeMs <= 10 * 60_000) return clock(ms);
  if (rangeMs <= 26 * 3_600_000) return time;
  return `${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${time}`;
}
