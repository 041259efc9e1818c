// SPDX-License-Identifier: Apache-2.0
// Data for components: fetched on the page's rhythm, shared between panels that ask the same, kept while stale.
import { keepPreviousData, QueryClient, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useSyncExternalStore } from "react";
import { EMPTY_FRAME, type Frame, joinFrames, type Role } from "../charts/frame";
import type { Unit } from "../lib/format";
import { fillVariables, grid, instant, span } from "../state/time";
import { useView } from "../state/view";
import { get, retryDelay, shouldRetry } from "./http";
import { type InstantAnswer, queryInstant, queryRange, type RangeAnswer, toFrame } from "./prometheus";
import type { LogRecord, Overview, Trace } from "./types";

export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: shouldRetry,
        retryDelay,
        placeholderData: keepPreviousData,
        // Frames are typed arrays: comparing them deeply costs more than drawing them.
        structuralSharing: false,
        refetchOnWindowFocus: true,
        staleTime: 1000,
      },
    },
  });
}

/** One PromQL expression of a panel. */
export interface Query {
  expr: string;
  /** `{{label}}` template; without it the series' full name. */
  legend?: string;
  role?: Role;
  /** Where it differs from the panel's: only for the small numbers beside a large one. */
  unit?: Unit;
}

export interface Frames {
  frame: Frame;
  /** Nothing to show yet. */
  loading: boolean;
  error: Error | null;
  /** Unix milliseconds of the oldest answer shown; 0 when none. */
  updatedAt: number;
  warnings: string[];
  infos: string[];
  /** The expressions as sent. */
  exprs: string[];
  retry: () => void;
}

/** Range queries of a panel over the page's range, joined on one grid. `queries` must keep its identity. */
export function useFrames(queries: readonly Query[]): Frames {
  const { range, every } = useView();
  const exprs = queries.map(({ expr }) => fillVariables(expr, span(range)));
  const results = useQueries({
    queries: exprs.map((expr) => ({
      queryKey: ["range", expr, range.from, range.to],
      queryFn: ({ signal }: { signal: AbortSignal }) => queryRange(expr, grid(range, Date.now()), signal),
      refetchInterval: every,
      enabled: expr !== "",
    })),
  });
  const answers = results.map((result) => result.data);
  const frame = useStableFrame(queries, answers);
  const error = results.find((result) => result.error)?.error ?? null;
  const shown = results.filter((result) => result.data);
  return {
    frame,
    loading:
      results.some((result) => result.isPending && result.fetchStatus !== "idle") && shown.length === 0,
    error,
    updatedAt: shown.length === 0 ? 0 : Math.min(...shown.map((result) => result.dataUpdatedAt)),
    warnings: unique(answers.flatMap((answer) => answer?.warnings ?? [])),
    infos: unique(answers.flatMap((answer) => answer?.infos ?? [])),
    exprs,
    retry: () => {
      for (const result of results) void result.refetch();
    },
  };
}

/** A new frame only when an answer is new: drawing follows identity. */
function useStableFrame(queries: readonly Query[], answers: (RangeAnswer | undefined)[]): Frame {
  const key = useIdentity(answers);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for the identities of `answers`.
  return useMemo(() => {
    const frames = answers.flatMap((answer, index) => {
      const query = queries[index];
      return answer && query
        ? [toFrame(answer, { legend: query.legend, role: query.role, query: index })]
        : [];
    });
    return frames.length === 0 ? EMPTY_FRAME : joinFrames(frames);
  }, [queries, key]);
}

const numbers = new WeakMap<object, number>();
let nextNumber = 1;

/** A text that changes when any of `objects` is another one. */
function useIdentity(objects: (object | undefined)[]): string {
  return objects
    .map((one) => {
      if (one === undefined) return 0;
      let number = numbers.get(one);
      if (number === undefined) {
        number = nextNumber;
        nextNumber += 1;
        numbers.set(one, number);
      }
      return number;
    })
    .join();
}

const unique = (texts: string[]) => [...new Set(texts)];

/** Instant query at the end of the page's range. */
export function useInstant(expr: string, enabled: boolean) {
  const { range, every } = useView();
  return useQuery<InstantAnswer>({
    queryKey: ["instant", expr, range.from, range.to],
    queryFn: ({ signal }) => {
      const now = Date.now();
      return queryInstant(fillVariables(expr, span(range)), (instant(range.to, now) ?? now) / 1000, signal);
    },
    refetchInterval: every,
    enabled: enabled && expr !== "",
  });
}

/** Lists of what happened last are asked no more often than people read. */
const RECENT_MIN_MS = 5000;

function slower(every: number | false): number | false {
  return every === false ? false : Math.max(every, RECENT_MIN_MS);
}

export function useOverview() {
  const { every } = useView();
  return useQuery({
    queryKey: ["overview"],
    queryFn: ({ signal }) => get<Overview>("/api/fg/v1/overview", signal),
    // The state of the process is about now, whatever range is looked at.
    refetchInterval: every === false ? false : Math.min(every, 10_000),
  });
}

export function useRecentTraces(limit: number) {
  const { every } = useView();
  return useQuery({
    queryKey: ["recent", "traces", limit],
    queryFn: ({ signal }) => get<{ traces: Trace[] }>(`/api/fg/v1/recent/traces?limit=${limit}`, signal),
    refetchInterval: slower(every),
  });
}

export function useRecentLogs(limit: number) {
  const { every } = useView();
  return useQuery({
    queryKey: ["recent", "logs", limit],
    queryFn: ({ signal }) => get<{ logs: LogRecord[] }>(`/api/fg/v1/recent/logs?limit=${limit}`, signal),
    refetchInterval: slower(every),
  });
}

/** When anything on the page last arrived; 0 before. */
export function useUpdatedAt(): number {
  const cache = useQueryClient().getQueryCache();
  return useSyncExternalStore(
    (changed) => cache.subscribe(changed),
    () =>
      cache
        .getAll()
        .filter((query) => query.isActive())
        .reduce((newest, query) => Math.max(newest, query.state.dataUpdatedAt), 0),
  );
}
