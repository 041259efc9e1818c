// SPDX-License-Identifier: Apache-2.0
// The URL's search part: all view state of all pages. Unknown keys and wrong values are dropped, defaults are
// left out, so that a link says only what is special about it.
import { DEFAULT_REFRESH, REFRESHES, type Refresh } from "./time";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export interface Search {
  from?: string;
  to?: string;
  refresh?: Refresh;
  theme?: Theme;
  /** Explore: the query. Logs and traces: the text to find. */
  q?: string;
  /** Explore: `graph` (default) or `table`. */
  tab?: "table";
  /** Logs and traces: one service. */
  service?: string;
  /** Traces: the one that is open. */
  trace?: string;
}

const GLOBAL = ["from", "to", "refresh", "theme"] as const;

/** Reads `?a=b&c=d`; a later key of one name wins. */
export function parseSearch(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}

/** Writes it back, plain: no JSON, readable by people. */
export function printSearch(search: Record<string, unknown>): string {
  const pairs = Object.entries(search).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return text === "" ? "" : `?${text}`;
}

function oneOf<T extends string>(choices: readonly T[], value: unknown): T | undefined {
  return choices.find((choice) => choice === value);
}

/** What the pages accept of a URL's search. */
export function validateSearch(raw: Record<string, unknown>): Search {
  const text = (name: string) => (typeof raw[name] === "string" && raw[name] !== "" ? raw[name] : undefined);
  const refresh = oneOf(REFRESHES, raw.refresh);
  const found: { [Key in keyof Search]: Search[Key] | undefined } = {
    from: text("from"),
    to: text("to"),
    refresh: refresh === DEFAULT_REFRESH ? undefined : refresh,
    theme: oneOf(THEMES, raw.theme),
    q: text("q") ?? text("g0.expr"),
    tab: raw.tab === "table" ? "table" : undefined,
    service: text("service"),
    trace: text("trace"),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as Search;
}

/** The part that stays when the page changes. */
export function globalSearch(search: Search): Search {
  return Object.fromEntries(
    GLOBAL.flatMap((name) => (search[name] === undefined ? [] : [[name, search[name]]])),
  );
}
