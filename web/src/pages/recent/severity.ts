// SPDX-License-Identifier: Apache-2.0

/** How loud a record is; decides its colour. The text of the severity is always shown too. */
export type Level = "bad" | "warn" | "plain" | "quiet";

/** Level of a severity text, whichever library wrote it: `ERROR`, `error2`, `Critical`, `W`. */
export function level(severity: string): Level {
  const text = severity.toLowerCase();
  if (/^(err|fatal|crit|alert|emerg|panic|e$|f$)/.test(text)) return "bad";
  if (/^(warn|w$)/.test(text)) return "warn";
  return /^(debug|trace|verb|d$|t$)/.test(text) ? "quiet" : "plain";
}
