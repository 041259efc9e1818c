// SPDX-License-Identifier: Apache-2.0
// The tiles of the Overview: what comes in, what is foretold, what it costs.
import type { PanelSpec } from "../../charts/panel";
import { counter, gauge, rate } from "../../lib/names";
import { overlayPanel } from "../inference/panels";

const SELF = "It needs the own metrics of this process, scraped from its port 8888.";

const accepted = (what: string) => `sum(${rate(counter(`otelcol_receiver_accepted_${what}`))})`;

/** Measured and predicted on one scale. */
export const HEADLINE: PanelSpec = {
  ...overlayPanel(),
  id: "headline",
  title: "CPU utilization, measured and predicted",
};

export const TILES: readonly PanelSpec[] = [
  {
    id: "points-rate",
    title: "Metric points",
    about: "Metric points accepted by all receivers, per second.",
    unit: "per_second",
    queries: [{ expr: accepted("metric_points"), legend: "points" }],
    needs: SELF,
  },
  {
    id: "spans-rate",
    title: "Spans",
    about: "Spans accepted by all receivers, per second.",
    unit: "per_second",
    queries: [{ expr: accepted("spans"), legend: "spans" }],
    needs: SELF,
  },
  {
    id: "logs-rate",
    title: "Log records",
    about: "Log records accepted by all receivers, per second.",
    unit: "per_second",
    queries: [{ expr: accepted("log_records"), legend: "records" }],
    needs: SELF,
  },
  {
    id: "predictions-rate",
    title: "Predictions",
    about: "Inference requests per second, over all models.",
    unit: "per_second",
    queries: [
      { expr: `sum(${rate("foreglow_inference_requests_total")})`, legend: "requests", role: "predicted" },
    ],
    needs: "It needs a metricsinference processor with rules.",
  },
  {
    id: "memory",
    title: "Memory",
    about: "Resident memory of this process.",
    unit: "bytes",
    queries: [{ expr: `max(${gauge("otelcol_process_memory_rss", "bytes")})`, legend: "resident" }],
    needs: SELF,
  },
  {
    id: "cpu",
    title: "CPU",
    about: "CPU time used by this process; 100 % is one core.",
    unit: "ratio",
    queries: [{ expr: `sum(${rate(counter("otelcol_process_cpu_seconds"))})`, legend: "of one core" }],
    needs: SELF,
  },
];
