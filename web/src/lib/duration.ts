// SPDX-License-Identifier: Apache-2.0
// Prometheus durations: `15m`, `1h30m`, `500ms`.

const SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Seconds of a Prometheus duration, or null when it is not one. */
export function parseDuration(text: string): number | null {
  if (!/^(\d+(ms|[smhdw]))+$/.test(text)) return null;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|[smhdw])/g)) {
    total += Number(amount) * (SECONDS[unit ?? ""] ?? 0);
  }
  return total;
}

/** The largest whole unit: 90 is `90s`, 120 is `2m`. */
export function printDuration(seconds: number): string {
  for (const unit of ["d", "h", "m"]) {
    const size = SECONDS[unit] ?? 1;
    if (seconds >= size && seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return seconds % 1 === 0 ? `${seconds}s` : `${Math.round(seconds * 1000)}ms`;
}
