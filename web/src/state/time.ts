// SPDX-License-Identifier: Apache-2.0
// The time range of a page: what the URL says, what is asked of the server, how often it is asked again.
//
// The URL holds `from` and `to` as Grafana writes them (`now-15m` and `now`, or unix milliseconds), so that
// links stay relative while relative and frozen once frozen.
import { parseDuration, printDuration } from "../lib/duration";

/** Ends of a range as the URL holds them. */
export interface TimeRange {
  from: string;
  to: string;
}

/** A range made concrete: seconds, both ends on multiples of `step`. */
export interface Grid {
  start: number;
  end: number;
  step: number;
}

export const DEFAULT_RANGE: TimeRange = { from: "now-15m", to: "now" };
export const RANGES = ["5m", "15m", "1h", "6h", "24h"] as const;

/** Round steps, so that neighbouring ranges share grid points and server caches. */
const STEPS = [1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
/** About one point per two pixels of a panel. */
const POINTS_MAX = 320;
/** A rate needs some scrapes: SDKs export every 60 s by default, so nothing shorter is useful. */
const RATE_WINDOW_MIN = 60;

/** Unix milliseconds of `now`, `now-15m` or a number; null when it is neither. */
export function instant(text: string, nowMs: number): number | null {
  if (text === "now") return nowMs;
  const relative = /^now-(.+)$/.exec(text)?.[1];
  if (relative !== undefined) {
    const seconds = parseDuration(relative);
    return seconds === null ? null : nowMs - seconds * 1000;
  }
  return /^\d{10,16}$/.test(text) ? Number(text) : null;
}

/** The range of the URL, or the default where it makes no sense. */
export function sanitise(range: Partial<TimeRange>): TimeRange {
  const { from = DEFAULT_RANGE.from, to = DEFAULT_RANGE.to } = range;
  const start = instant(from, Date.now());
  const end = instant(to, Date.now());
  return start !== null && end !== null && start < end ? { from, to } : DEFAULT_RANGE;
}

/** Length in seconds. */
export function span(range: TimeRange): number {
  const now = Date.now();
  return ((instant(range.to, now) ?? now) - (instant(range.from, now) ?? now)) / 1000;
}

/** Whether the range moves with the clock. */
export function isLive(range: TimeRange): boolean {
  return range.to === "now";
}

/** Smallest round step that keeps a range within `POINTS_MAX` points. */
export function stepFor(seconds: number): number {
  return STEPS.find((step) => seconds / step <= POINTS_MAX) ?? Math.ceil(seconds / POINTS_MAX);
}

/** Concrete grid of `range` at `nowMs`; never empty. */
export function grid(range: TimeRange, nowMs: number): Grid {
  const from = (instant(range.from, nowMs) ?? nowMs - 900_000) / 1000;
  const to = (instant(range.to, nowMs) ?? nowMs) / 1000;
  const step = stepFor(to - from);
  const end = Math.floor(to / step) * step;
  return { start: Math.min(Math.ceil(from / step) * step, end), end, step };
}

/** Window for `rate()`: at least four grid steps, so that no sample between two grid points is lost. */
export function rateWindow(step: number): number {
  return Math.max(RATE_WINDOW_MIN, step * 4);
}

/** Fills Grafana's `$__rate_interval`, `$__interval` and `$__range`. */
export function fillVariables(expr: string, seconds: number): string {
  const step = stepFor(seconds);
  return expr
    .replaceAll("$__rate_interval", printDuration(rateWindow(step)))
    .replaceAll("$__interval", printDuration(step))
    .replaceAll("$__range", printDuration(Math.round(seconds)));
}

export const REFRESHES = ["off", "live", "10s", "30s", "1m"] as const;
export type Refresh = (typeof REFRESHES)[number];
export const DEFAULT_REFRESH: Refresh = "live";

/** Live means as often as a new grid point appears, within these bounds (milliseconds). */
const LIVE_MIN = 2000;
const LIVE_MAX = 60_000;

/** Milliseconds between two fetches; false for none. A range that has ended is not asked again. */
export function refreshEvery(refresh: Refresh, range: TimeRange): number | false {
  if (refresh === "off" || !isLive(range)) return false;
  if (refresh === "live") return Math.min(LIVE_MAX, Math.max(LIVE_MIN, stepFor(span(range)) * 1000));
  return (parseDuration(refresh) ?? 10) * 1000;
}
