// SPDX-License-Identifier: Apache-2.0
import type { Unit } from "./format";

const SUFFIXES: Record<string, Unit> = {
  bytes: "bytes",
  seconds: "seconds",
  milliseconds: "milliseconds",
  ms: "milliseconds",
  ratio: "ratio",
};
/** These turn a value into another kind of number. */
const CHANGES_UNIT =
  /\b(rate|irate|increase|delta|idelta|deriv|count|count_values|group|changes|resets|stdvar|absent|present_over_time|count_over_time|timestamp)\b|[*/^]|==|!=\s*\d|[<>]=?\s*bool/;

/**
 * Unit of what a PromQL expression gives, told by the names in it (`_bytes`, `_seconds`, `_ratio`); a plain
 * number where names disagree or the expression changes the kind of number.
 */
export function unitOf(expr: string): Unit {
  const bare = expr.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""').replace(/\{[^}]*\}/g, "");
  const isQuantile = /\bhistogram_(quantile|avg)\b/.test(bare);
  if (!isQuantile && CHANGES_UNIT.test(bare)) return "count";
  const suffixes = [
    ...bare.matchAll(/[a-zA-Z:]\w*_(bytes|seconds|milliseconds|ms|ratio)(?:_bucket|_sum|_total)?\b/g),
  ];
  const units = new Set(suffixes.map(([, suffix]) => SUFFIXES[suffix ?? ""]));
  const [only] = units;
  return units.size === 1 && only !== undefined ? only : "count";
}
