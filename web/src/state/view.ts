// SPDX-License-Identifier: Apache-2.0
// The view as pages see it: range, refresh and theme out of the URL, and the one way to change them.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import type { Scheme } from "../charts/palette";
import type { Search, Theme } from "./search";
import { DEFAULT_REFRESH, type Refresh, refreshEvery, sanitise, type TimeRange } from "./time";

export interface View {
  range: TimeRange;
  refresh: Refresh;
  /** Milliseconds between fetches, false for none. */
  every: number | false;
  theme: Theme;
}

export function usePageSearch(): Search {
  return useSearch({ strict: false }) as Search;
}

export function useView(): View {
  const { from, to, refresh = DEFAULT_REFRESH, theme } = usePageSearch();
  return useMemo(() => {
    const range = sanitise({ ...(from ? { from } : {}), ...(to ? { to } : {}) });
    return { range, refresh, every: refreshEvery(refresh, range), theme: theme ?? rememberedTheme() };
  }, [from, to, refresh, theme]);
}

/** Changes parts of the URL's search and stays on the page. */
export function useSetSearch(): (change: Partial<Record<keyof Search, string | undefined>>) => void {
  const navigate = useNavigate();
  return useCallback(
    (change) => void navigate({ to: ".", search: ((now: Search) => ({ ...now, ...change })) as never }),
    [navigate],
  );
}

/** Zooms a page to a fixed range. */
export function useZoom(): (fromMs: number, toMs: number) => void {
  const set = useSetSearch();
  return useCallback((fromMs, toMs) => set({ from: String(fromMs), to: String(toMs) }), [set]);
}

const THEME_KEY = "theme";

/** The theme of the last visit; a browser that forbids storage gets the system's. */
export function rememberedTheme(): Theme {
  try {
    const theme = localStorage.getItem(THEME_KEY);
    return theme === "light" || theme === "dark" ? theme : "system";
  } catch {
    return "system";
  }
}

export function rememberTheme(theme: Theme): void {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // The URL still carries it.
  }
}

function subscribeScheme(changed: () => void): () => void {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}

/** Light or dark, whatever asked for it. */
export function useScheme(): Scheme {
  const { theme } = useView();
  const dark = useSyncExternalStore(
    subscribeScheme,
    () => matchMedia("(prefers-color-scheme: dark)").matches,
  );
  if (theme !== "system") return theme;
  return dark ? "dark" : "light";
}

function subscribeSecond(changed: () => void): () => void {
  const timer = setInterval(changed, 1000);
  return () => clearInterval(timer);
}

/** Unix milliseconds of the current second; renders once a second. */
export function useNow(): number {
  return useSyncExternalStore(subscribeSecond, () => Math.floor(Date.now() / 1000) * 1000);
}
