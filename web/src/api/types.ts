// SPDX-License-Identifier: Apache-2.0
// Answers of the server's own API, `/api/fg/v1/*`. Times are unix milliseconds, counts are since start.

export type Signal = "traces" | "metrics" | "logs";

export interface Overview {
  version: string;
  uptime_seconds: number;
  ready: boolean;
  /** Whether a store keeps anything; without one there is nothing to query. */
  stored?: boolean;
  /** Metric series in the store. */
  series?: number;
  pipelines: Pipeline[];
  services: Service[];
}

/** The ledger of one pipeline: received + generated = delivered + dropped + in_flight + what processors took out. */
export interface Pipeline {
  name: string;
  signal: Signal;
  received: number;
  /** Made by its processors: predictions. */
  generated?: number;
  delivered: number;
  dropped: number;
  in_flight: number;
}

export interface Service {
  name: string;
  last_seen_ms: number;
  spans: number;
  points: number;
  logs: number;
}

export interface Trace {
  trace_id: string;
  root_name: string;
  service: string;
  start_ms: number;
  duration_ms: number;
  span_count: number;
  error: boolean;
  spans: Span[];
}

export interface Span {
  span_id: string;
  parent_span_id: string;
  name: string;
  service: string;
  start_ms: number;
  duration_ms: number;
  status: string;
}

export interface LogRecord {
  time_ms: number;
  severity: string;
  service: string;
  body: string;
  trace_id: string;
  span_id: string;
  attributes: Record<string, unknown>;
}
