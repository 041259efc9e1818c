// SPDX-License-Identifier: Apache-2.0
// Spans of a trace in reading order: children below their parent, siblings by start.
import type { Span, Trace } from "../../api/types";

export interface Row {
  span: Span;
  depth: number;
  /** Place in the trace, as shares of its length: 0 to 1. */
  left: number;
  width: number;
}

/** Bars shorter than this share cannot be seen. */
const WIDTH_MIN = 0.004;

/** Every span once; those whose parent is missing, or that form a cycle, stand at the top level. */
export function waterfall(trace: Trace): Row[] {
  const ids = new Set(trace.spans.map((span) => span.span_id));
  const children = new Map<string, Span[]>();
  for (const span of [...trace.spans].sort((a, b) => a.start_ms - b.start_ms)) {
    const parent = ids.has(span.parent_span_id) ? span.parent_span_id : "";
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const start = trace.spans.reduce((min, span) => Math.min(min, span.start_ms), trace.start_ms);
  const end = trace.spans.reduce((max, span) => Math.max(max, span.start_ms + span.duration_ms), start);
  const length = Math.max(end - start, 1e-6);
  const rows: Row[] = [];
  const seen = new Set<Span>();
  const place = (span: Span, depth: number) => {
    if (seen.has(span)) return;
    seen.add(span);
    const left = Math.min((span.start_ms - start) / length, 1 - WIDTH_MIN);
    const width = Math.min(Math.max(span.duration_ms / length, WIDTH_MIN), 1 - left);
    rows.push({ span, depth, left, width });
    for (const child of children.get(span.span_id) ?? []) place(child, depth + 1);
  };
  for (const root of children.get("") ?? []) place(root, 0);
  for (const span of trace.spans) place(span, 0);
  return rows;
}
