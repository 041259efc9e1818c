// SPDX-License-Identifier: Apache-2.0
// Prometheus' HTTP API: queries in, frames (columns) out.
import { EMPTY_FRAME, type Frame, type Labels, legendName, type Role } from "../charts/frame";
import type { Grid } from "../state/time";
import { postForm } from "./http";

type Sample = [time: number, value: string];

export type QueryData =
  | { resultType: "matrix"; result: { metric: Labels; values?: Sample[] }[] }
  | { resultType: "vector"; result: { metric: Labels; value?: Sample }[] }
  | { resultType: "scalar" | "string"; result: Sample };

export interface Envelope {
  status: string;
  data: QueryData;
  warnings?: string[];
  infos?: string[];
}

/** What the server said beside the data. */
export interface Notes {
  warnings: string[];
  infos: string[];
}

export interface RangeAnswer extends Notes {
  data: QueryData;
  grid: Grid;
}

export interface InstantAnswer extends Notes {
  data: QueryData;
  /** Unix seconds that were asked for. */
  time: number;
}

const notes = (envelope: Envelope): Notes => ({
  warnings: envelope.warnings ?? [],
  infos: envelope.infos ?? [],
});

/** Range query over `grid`. */
export async function queryRange(expr: string, grid: Grid, signal?: AbortSignal): Promise<RangeAnswer> {
  const { start, end, step } = grid;
  const form = { query: expr, start: String(start), end: String(end), step: String(step) };
  const envelope = await postForm<Envelope>("/api/v1/query_range", form, signal);
  return { data: envelope.data, grid, ...notes(envelope) };
}

/** Instant query at `time` (unix seconds). */
export async function queryInstant(expr: string, time: number, signal?: AbortSignal): Promise<InstantAnswer> {
  const envelope = await postForm<Envelope>("/api/v1/query", { query: expr, time: String(time) }, signal);
  return { data: envelope.data, time, ...notes(envelope) };
}

/** Prometheus prints infinities as `+Inf` and `-Inf`, which `Number` does not read. */
export function readValue(text: string): number {
  if (text === "+Inf" || text === "Inf") return Number.POSITIVE_INFINITY;
  return text === "-Inf" ? Number.NEGATIVE_INFINITY : Number(text);
}

export interface Naming {
  legend?: string | undefined;
  role?: Role | undefined;
  query?: number;
}

/** Columns of a range answer. Series without float samples (native histograms) are left out. */
export function toFrame(answer: RangeAnswer, { legend, role = "measured", query = 0 }: Naming = {}): Frame {
  const { data, grid } = answer;
  if (data.resultType !== "matrix") return EMPTY_FRAME;
  const count = Math.floor((grid.end - grid.start) / grid.step + 1e-6) + 1;
  const times = Float64Array.from({ length: count }, (_, index) => (grid.start + index * grid.step) * 1000);
  const series = data.result.flatMap(({ metric, values }) => {
    if (values === undefined) return [];
    const column = new Float64Array(count).fill(Number.NaN);
    for (const [time, text] of values) {
      const index = Math.round((time - grid.start) / grid.step);
      if (index >= 0 && index < count) column[index] = readValue(text);
    }
    return [{ name: legendName(legend, metric), labels: metric, role, query, values: column }];
  });
  return { times, series };
}
