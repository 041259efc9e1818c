// SPDX-License-Identifier: Apache-2.0
// The Metrics Inference Showcase as a table: every query of the page is here, metric names at the top.
import type { PanelSpec } from "../../charts/panel";
import { counter, gauge, quantile, rate, share } from "../../lib/names";

/** Stands for what has no service: the metrics of the machine itself. */
export const HOST = "@host";

function matcher(source: string): string {
  return `service_name=${JSON.stringify(source === HOST ? "" : source)}`;
}

/**
 * CPU time that is not idle, averaged: machines tell it by state and core, services as one number. Without a
 * choice the services, or the machine where there are none: never both in one average.
 */
function cpu(name: string, source: string | undefined): string {
  const average = (matchers: string) =>
    `avg(sum without (state) (${gauge(name, "ratio", `state!="idle", ${matchers}`)}))`;
  if (source !== undefined) return average(matcher(source));
  return `${average('service_name!=""')} or ${average('service_name=""')}`;
}

/** A request duration in milliseconds, the slowest instance of each service. */
function duration(name: string, source: string | undefined): string {
  return `max by (service_name) (${gauge(name, "milliseconds", source && matcher(source))})`;
}

const REQUESTS = "foreglow_inference_requests_total";
const OK = 'outcome="ok"';
const INFERENCE_BUCKET = "foreglow_inference_duration_seconds_bucket";
const PIPELINE_BUCKET = "foreglow_pipeline_latency_seconds_bucket";

/** What the aggregated request duration of a service should stay below. */
export const SLA_MS = 500;

const NEEDS_RULES = "It needs a metricsinference processor with rules for this metric.";

/** Everything that sends what the page predicts. */
export const SOURCES = `group by (service_name) (${gauge("system_cpu_utilization", "ratio")} or ${gauge("http_request_duration_ms", "milliseconds")})`;

export interface Row {
  title: string;
  /** `stats` are large numbers; `charts` are time charts. */
  kind: "stats" | "charts";
  panels: readonly PanelSpec[];
}

const measured = (source?: string) => ({ expr: cpu("system_cpu_utilization", source), legend: "original" });

const predicted = (source?: string) =>
  ({
    expr: cpu("system_cpu_utilization_predicted", source),
    legend: "predicted",
    role: "predicted",
  }) as const;

/** The headline of the product; the Overview shows it too. */
export function overlayPanel(source?: string): PanelSpec {
  return {
    id: "cpu-overlay",
    title: "Original and predicted",
    about:
      "Both on one scale: measured solid, predicted dashed. The band is the interval in which the model expects the value.",
    unit: "ratio",
    queries: [
      measured(source),
      predicted(source),
      { expr: cpu("system_cpu_utilization_lower", source), legend: "lower", role: "lower" },
      { expr: cpu("system_cpu_utilization_upper", source), legend: "upper", role: "upper" },
    ],
    needs: NEEDS_RULES,
  };
}

/** The page's rows for one source, or for all services. */
export function rows(source?: string): readonly Row[] {
  return [SYSTEM, resource(source), aggregation(source), TECHNICAL];
}

const SYSTEM: Row = {
  title: "System overview",
  kind: "stats",
  panels: [
    {
      id: "metrics-processed",
      title: "Metrics processed",
      about: "Metric points accepted by all receivers, per second.",
      unit: "per_second",
      queries: [
        { expr: `sum(${rate(counter("otelcol_receiver_accepted_metric_points"))})`, legend: "points" },
      ],
      needs: "It needs the own metrics of this process, scraped from its port 8888.",
    },
    {
      id: "inference-success",
      title: "Inference success rate",
      about: "Share of inference requests that gave a result.",
      unit: "ratio",
      zero: true,
      queries: [
        { expr: share(`${REQUESTS}{${OK}}`, REQUESTS), legend: "success" },
        { expr: "sum(foreglow_inference_series)", legend: "series", unit: "count" },
      ],
      needs: "It needs a metricsinference processor with rules.",
    },
    {
      id: "pipeline-latency",
      title: "Pipeline latency, end to end",
      about: "Time from receiving a batch to handing it to the last exporter; 95 % are faster.",
      unit: "seconds",
      queries: [
        { expr: quantile(0.95, PIPELINE_BUCKET), legend: "p95" },
        { expr: quantile(0.5, PIPELINE_BUCKET), legend: "p50" },
        { expr: quantile(0.99, PIPELINE_BUCKET), legend: "p99" },
      ],
    },
  ],
};

function resource(source?: string): Row {
  return {
    title: "Before and after: resource prediction",
    kind: "charts",
    panels: [
      {
        id: "cpu-original",
        title: "Original CPU utilization",
        about: "Share of CPU time that was not idle, as measured.",
        unit: "ratio",
        queries: [measured(source)],
        needs: "The hostmetrics receiver with its cpu scraper sends it.",
      },
      {
        id: "cpu-predicted",
        title: "Predicted CPU utilization",
        about: "The same metric as the model foretells it.",
        unit: "ratio",
        queries: [predicted(source)],
        needs: NEEDS_RULES,
      },
      overlayPanel(source),
    ],
  };
}

function aggregation(source?: string): Row {
  return {
    title: "Before and after: aggregation",
    kind: "charts",
    panels: [
      {
        id: "durations",
        title: "Individual request durations",
        about: "Request durations as each service reports them, HTTP and gRPC.",
        unit: "milliseconds",
        queries: [
          { expr: duration("http_request_duration_ms", source), legend: "{{service_name}} HTTP" },
          { expr: duration("grpc_request_duration_ms", source), legend: "{{service_name}} gRPC" },
        ],
        needs: "Services that send http_request_duration_ms or grpc_request_duration_ms; the demo does.",
      },
      {
        id: "duration-total",
        title: "Aggregated total duration",
        about: "Output of the sum model: HTTP and gRPC durations of a service added up in the stream.",
        unit: "milliseconds",
        threshold: { value: SLA_MS, label: `SLA ${SLA_MS} ms` },
        queries: [
          {
            expr: duration("total_request_duration_ms", source),
            legend: "{{service_name}}",
            role: "predicted",
          },
        ],
        needs: NEEDS_RULES,
      },
      {
        id: "sla-violations",
        title: "Predicted SLA violations",
        about: `Services whose total request duration, as the model gives it, exceeds ${SLA_MS} ms.`,
        unit: "count",
        area: true,
        queries: [
          {
            expr: `sum(${duration("total_request_duration_ms", source)} > bool ${SLA_MS})`,
            legend: `services above ${SLA_MS} ms`,
            role: "predicted",
          },
        ],
        needs: NEEDS_RULES,
      },
    ],
  };
}

const TECHNICAL: Row = {
  title: "Technical metrics",
  kind: "charts",
  panels: [
    {
      id: "model-performance",
      title: "Inference model performance",
      about: "Answered inference requests per second, by model; below them what was not answered, by reason.",
      unit: "per_second",
      zero: true,
      queries: [
        { expr: `sum by (model) (${rate(`${REQUESTS}{${OK}}`)})`, legend: "{{model}}" },
        {
          expr: `sum by (model, outcome) (${rate(`${REQUESTS}{outcome!="ok"}`)}) > 0`,
          legend: "{{model}}: {{outcome}}",
        },
      ],
      needs: "It needs a metricsinference processor with rules.",
    },
    {
      id: "model-latency",
      title: "Model server response times",
      about:
        "How long a model, in this process or on a model server, takes to answer: half, 95 %, 99 % are faster.",
      unit: "seconds",
      zero: true,
      queries: [0.5, 0.95, 0.99].map((q) => ({
        expr: quantile(q, INFERENCE_BUCKET),
        legend: `p${q * 100}`,
      })),
      needs: "It needs a metricsinference processor with rules.",
    },
    {
      id: "collector-memory",
      title: "Collector memory",
      about: "Resident memory of this process.",
      unit: "bytes",
      zero: true,
      area: true,
      queries: [{ expr: `max(${gauge("otelcol_process_memory_rss", "bytes")})`, legend: "resident" }],
    },
    {
      id: "collector-cpu",
      title: "Collector CPU",
      about: "CPU time used by this process; 100 % is one core.",
      unit: "ratio",
      zero: true,
      area: true,
      queries: [{ expr: `sum(${rate(counter("otelcol_process_cpu_seconds"))})`, legend: "of one core" }],
    },
  ],
};
