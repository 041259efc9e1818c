// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Span, Trace } from "../../api/types";
import { waterfall } from "./waterfall";

const span = (span_id: string, parent_span_id: string, start_ms: number, duration_ms: number): Span => ({
  span_id,
  parent_span_id,
  name: span_id,
  service: "s",
  start_ms,
  duration_ms,
  status: "ok",
});

const trace = (spans: Span[]): Trace => ({
  trace_id: "t",
  root_name: "r",
  service: "s",
  start_ms: 100,
  duration_ms: 100,
  span_count: spans.length,
  error: false,
  spans,
});

describe("waterfall", () => {
  it("puts children below parents and siblings by start", () => {
    const rows = waterfall(
      trace([
        span("late", "root", 160, 40),
        span("root", "", 100, 100),
        span("early", "root", 110, 20),
        span("leaf", "early", 115, 5),
      ]),
    );
    expect(rows.map((row) => [row.span.span_id, row.depth])).toEqual([
      ["root", 0],
      ["early", 1],
      ["leaf", 2],
      ["late", 1],
    ]);
    expect(rows[1]).toMatchObject({ left: 0.1, width: 0.2 });
  });
  it("shows orphans and cycles at the top instead of losing them", () => {
    const rows = waterfall(
      trace([span("orphan", "gone", 100, 10), span("a", "b", 120, 5), span("b", "a", 130, 5)]),
    );
    expect(rows.map((row) => row.span.span_id).sort()).toEqual(["a", "b", "orphan"]);
  });
  it("keeps bars visible and inside", () => {
    for (const { left, width } of waterfall(
      trace([span("root", "", 100, 100), span("dot", "root", 200, 0)]),
    )) {
      expect(width).toBeGreaterThan(0);
      expect(left + width).toBeLessThanOrEqual(1);
    }
  });
  it("survives a trace without length", () => {
    expect(waterfall(trace([span("root", "", 100, 0)]))[0]?.width).toBeLessThanOrEqual(1);
  });
});
