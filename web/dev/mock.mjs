// SPDX-License-Identifier: Apache-2.0
// A stand-in for the server while working on the page: plausible answers to the panels' queries, and web/dist
// with the headers that the real server sends. Values are functions of time, so asking twice gives the same.
//
//   node dev/mock.mjs [--port 9090] [--empty] [--down] [--broken]
//     --unstored   a configuration without a store
//     --empty   no telemetry yet      --broken  queries fail with 503      --down  like a dead process after 10 s

import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const argument = (name) => process.argv.includes(`--${name}`);
const port = Number(process.argv[process.argv.indexOf("--port") + 1] || 0) || 9090;
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const started = Date.now() - 8_041_000;

const CSP =
  "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'";
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

// Noise that only depends on its place: a hash of the second and the series.
function noise(seed, time) {
  const x = Math.sin(seed * 12.9898 + Math.floor(time) * 78.233) * 43758.5453;
  return (x - Math.floor(x)) * 2 - 1;
}
const wave = (time, period, phase = 0) => Math.sin(((time + phase) / period) * 2 * Math.PI);
const smooth = (seed, time) =>
  (noise(seed, time / 5) + noise(seed, time / 5 + 1) + noise(seed, time / 5 + 2)) / 3;

const cpu = (time) =>
  0.38 +
  0.14 * wave(time, 3600) +
  0.06 * wave(time, 420) +
  0.05 * smooth(1, time) +
  (time % 2700 < 120 ? 0.2 : 0);
const predicted = (time) => 0.38 + 0.14 * wave(time, 3600) + 0.06 * wave(time, 420, -8);
const duration = (seed, base) => (time) =>
  base * (1 + 0.25 * wave(time, 900, seed * 130) + 0.15 * smooth(seed, time));
const SERVICES = ["cart", "checkout", "payment", "recommendation"];

/** [pattern, series]: the first pattern found in the query answers it. */
const ANSWERS = [
  [
    /group by \(service_name\)/,
    () => [{}, ...SERVICES.map((service_name) => ({ service_name }))].map((labels) => [labels, () => 1]),
  ],
  [/system_cpu_utilization_predicted/, () => [[{}, predicted]]],
  [/system_cpu_utilization_lower/, () => [[{}, (time) => predicted(time) - 0.09]]],
  [/system_cpu_utilization_upper/, () => [[{}, (time) => predicted(time) + 0.09]]],
  [
    /sum by \(state\) \(system_cpu/,
    () => ["user", "system", "iowait"].map((state, i) => [{ state }, (time) => cpu(time) / (i * 2 + 1.4)]),
  ],
  [/system_cpu_utilization/, () => [[{}, cpu]]],
  [/> bool/, () => [[{}, (time) => (wave(time, 900) > 0.2 ? 1 : 0) + (wave(time, 900) > 0.8 ? 1 : 0)]]],
  [
    /total_request_duration/,
    () =>
      SERVICES.map((service_name, i) => [
        { service_name },
        (t) => duration(i, 180 + 70 * i)(t) + duration(i + 5, 60)(t),
      ]),
  ],
  [
    /http_request_duration_ms/,
    () => SERVICES.map((service_name, i) => [{ service_name }, duration(i, 180 + 70 * i)]),
  ],
  [
    /grpc_request_duration_ms/,
    () => SERVICES.map((service_name, i) => [{ service_name }, duration(i + 5, 60)]),
  ],
  [
    /inference_duration_seconds_bucket/,
    (expr) => {
      const q = Number(/histogram_quantile\(([\d.]+)/.exec(expr)?.[1] ?? 0.5);
      return [[{}, (time) => 0.0004 * (1 + 3 * q ** 8) * (1 + 0.2 * smooth(q * 20, time))]];
    },
  ],
  [
    /pipeline_latency_seconds_bucket/,
    (expr) => {
      const q = Number(/histogram_quantile\(([\d.]+)/.exec(expr)?.[1] ?? 0.5);
      return [[{}, (time) => 0.0011 * (1 + 4 * q ** 9) * (1 + 0.15 * smooth(q * 10, time))]];
    },
  ],
  [/outcome="ok".* or 0/, () => [[{}, (time) => (time % 1800 < 60 ? 0.994 : 0.9998)]]],
  [/inference_series/, () => [[{}, () => 128]]],
  [
    /sum by \(model\)/,
    () =>
      ["holt_winters", "simple-sum", "simple-scale"].map((model, i) => [
        { model },
        (time) => 0.9 + i * 0.6 + 0.1 * smooth(i + 30, time),
      ]),
  ],
  [
    /sum by \(model, outcome\)/,
    () => [[{ model: "holt_winters", outcome: "timeout" }, (time) => (time % 1800 < 60 ? 0.3 : Number.NaN)]],
  ],
  [/inference_requests_total/, () => [[{}, (time) => 4.5 + 0.3 * smooth(9, time)]]],
  [/accepted_metric_points/, () => [[{}, (time) => 412 + 20 * wave(time, 700) + 14 * smooth(40, time)]]],
  [/accepted_spans/, () => [[{}, (time) => 83 + 22 * wave(time, 900) + 6 * smooth(41, time)]]],
  [/accepted_log_records/, () => [[{}, (time) => 46 + 9 * wave(time, 500) + 5 * smooth(42, time)]]],
  [/process_memory_rss/, () => [[{}, (time) => 57e6 + 1.5e6 * wave(time, 1200) + 4e5 * smooth(43, time)]]],
  [/process_cpu_seconds/, () => [[{}, (time) => 0.034 + 0.01 * smooth(44, time)]]],
  [
    /count by \(__name__\)/,
    () =>
      ["system_cpu_utilization_ratio", "http_server_request_duration_seconds_bucket", "up"].map(
        (__name__, i) => [{ __name__ }, () => 120 / (i + 1)],
      ),
  ],
  [
    /many/,
    () =>
      Array.from({ length: 42 }, (_, i) => [
        { __name__: "many", instance: `host-${i}:9100`, job: "node" },
        duration(i, i + 1),
      ]),
  ],
  [
    /http_server_request_duration/,
    () => SERVICES.map((service_name, i) => [{ service_name }, (time) => duration(i, 12 + 4 * i)(time)]),
  ],
];

function seriesOf(expr) {
  if (argument("empty")) return [];
  return ANSWERS.find(([pattern]) => pattern.test(expr))?.[1](expr) ?? [];
}

const success = (data, more = {}) => [200, { status: "success", data, ...more }];
const failure = (status, errorType, error) => [status, { status: "error", errorType, error }];

function notes(expr) {
  return /inference_requests_total/.test(expr) && !/rate/.test(expr)
    ? { infos: ['PromQL info: metric might not be a counter, name does not end in _total: "x"'] }
    : {};
}

function query(form) {
  const expr = form.get("query") ?? "";
  if (argument("broken")) return failure(503, "timeout", "query timed out in expression evaluation");
  if (/\($|\{$|rate\(\)/.test(expr)) {
    return failure(
      400,
      "bad_data",
      `invalid parameter "query": 1:${expr.length + 1}: parse error: unexpected end of input`,
    );
  }
  if (form.has("start")) {
    const [start, end, step] = ["start", "end", "step"].map((name) => Number(form.get(name)));
    const result = seriesOf(expr).map(([metric, value]) => {
      const values = [];
      for (let time = start; time <= end + 1e-6; time += step) values.push([time, String(value(time))]);
      return { metric, values };
    });
    return success({ resultType: "matrix", result }, notes(expr));
  }
  const time = Number(form.get("time") ?? Date.now() / 1000);
  if (/^[\d.+\-*/ ]+$/.test(expr)) return success({ resultType: "scalar", result: [time, "2"] });
  const result = seriesOf(expr).map(([metric, value]) => ({ metric, value: [time, String(value(time))] }));
  return success({ resultType: "vector", result }, notes(expr));
}

function overview() {
  const now = Date.now();
  const uptime = (now - started) / 1000;
  const pipeline = (signal, rate, dropped = 0) => ({
    name: signal,
    signal,
    received: Math.round(uptime * rate),
    generated: signal === "metrics" ? Math.round(uptime * 11) : 0,
    delivered: Math.round(uptime * (signal === "metrics" ? rate + 11 : rate)) - dropped - 12,
    dropped,
    in_flight: 12,
  });
  const service = (name, i) => ({
    name,
    last_seen_ms: name === "recommendation" ? now - 400_000 : now - i * 300,
    spans: Math.round(uptime * (12 + i)),
    points: Math.round(uptime * 40),
    logs: name === "payment" ? 0 : Math.round(uptime * 6),
  });
  return {
    version: "0.1.0",
    uptime_seconds: uptime,
    ready: true,
    stored: !argument("unstored"),
    series: argument("empty") ? 0 : 1834,
    pipelines: argument("empty")
      ? ["traces", "metrics", "logs"].map((s) => ({
          name: s,
          signal: s,
          received: 0,
          delivered: 0,
          dropped: 0,
          in_flight: 0,
        }))
      : [pipeline("traces", 83), pipeline("metrics", 412), pipeline("logs", 46, 37)],
    services: argument("empty") ? [] : SERVICES.map(service),
  };
}

const hex = (seed, length) =>
  Array.from({ length }, (_, i) => Math.floor(((noise(seed, i) + 1) / 2) * 16).toString(16)).join("");

function traces(limit) {
  if (argument("empty")) return { traces: [] };
  const newest = Math.floor(Date.now() / 1000);
  return {
    traces: Array.from({ length: Math.min(limit, 60) }, (_, i) => {
      const time = newest - i;
      const start_ms = time * 1000 + 217;
      const total = 60 + 80 * (1 + noise(3, time)) ** 2;
      const error = time % 17 === 0;
      const span = (n, parent, name, service, from, share, bad = false) => ({
        span_id: hex(time + n, 16),
        parent_span_id: parent === null ? "" : hex(time + parent, 16),
        name,
        service,
        start_ms: start_ms + total * from,
        duration_ms: total * share,
        status: bad ? "error" : "ok",
      });
      const spans = [
        span(0.1, null, "POST /checkout", "checkout", 0, 1, error),
        span(0.2, 0.1, "GET /cart", "cart", 0.04, 0.2),
        span(0.3, 0.2, "SELECT items", "cart", 0.07, 0.12),
        span(0.4, 0.1, "charge", "payment", 0.3, 0.6, error),
        span(0.5, 0.4, "authorise card", "payment", 0.36, 0.44, error),
        span(0.6, 0.1, "publish order", "checkout", 0.93, 0.05),
      ];
      return {
        trace_id: hex(time, 32),
        root_name: "POST /checkout",
        service: "checkout",
        start_ms,
        duration_ms: total,
        span_count: spans.length,
        error,
        spans,
      };
    }),
  };
}

function logs(limit) {
  if (argument("empty")) return { logs: [] };
  const newest = Math.floor(Date.now() / 1000);
  return {
    logs: Array.from({ length: Math.min(limit, 120) }, (_, i) => {
      const time = newest - Math.floor(i / 2);
      const bad = time % 17 === 0 && i % 2 === 0;
      return {
        time_ms: time * 1000 + 640 - (i % 2) * 300,
        severity: bad ? "ERROR" : i % 9 === 0 ? "WARN" : i % 5 === 0 ? "DEBUG" : "INFO",
        service: bad ? "payment" : SERVICES[i % 4],
        body: bad
          ? "card authorisation failed: issuer timed out after 400 ms"
          : `handled POST /checkout in ${Math.round(60 + 60 * (1 + noise(3, time)))} ms for user ${hex(time + i, 6)}`,
        trace_id: hex(time, 32),
        span_id: hex(time + 0.1, 16),
        attributes: {
          "http.response.status_code": bad ? 502 : 200,
          "thread.name": "worker-3",
          retries: i % 3,
        },
      };
    }),
  };
}

function api(url, form) {
  const limit = Number(url.searchParams.get("limit") ?? 100);
  const labels = ["__name__", "service_name", "host_name", "job", "instance", "state"];
  switch (url.pathname) {
    case "/api/v1/query":
    case "/api/v1/query_range":
      return query(form);
    case "/api/v1/labels":
      return success(labels);
    case "/api/v1/label/__name__/values":
      return success([
        "system_cpu_utilization_ratio",
        "system_cpu_utilization_predicted",
        "system_memory_usage_bytes",
        "up",
      ]);
    case "/api/v1/metadata":
      return success({
        system_cpu_utilization_ratio: [{ type: "gauge", help: "Share of CPU time by state.", unit: "ratio" }],
      });
    case "/api/v1/series":
      return success([{ __name__: "up", job: "self" }]);
    case "/api/v1/status/buildinfo":
      return success({ version: "0.1.0" });
    case "/api/fg/v1/overview":
      return [200, overview()];
    case "/api/fg/v1/recent/traces":
      return [200, traces(limit)];
    case "/api/fg/v1/recent/logs":
      return [200, logs(limit)];
  }
  return url.pathname.startsWith("/api/v1/label/")
    ? success(SERVICES)
    : [404, { status: "error", error: "not found" }];
}

function file(pathname, response) {
  const path = join(DIST, normalize(pathname));
  const found = path.startsWith(DIST) && existsSync(path) && statSync(path).isFile();
  if (!found && extname(pathname) !== "") {
    response.writeHead(404).end("not found");
    return;
  }
  const name = found ? path : join(DIST, "index.html");
  const squeezed = existsSync(`${name}.br`);
  response.writeHead(200, {
    ...(squeezed ? { "content-encoding": "br" } : {}),
    "cache-control": pathname.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
    "content-type": TYPES[extname(name)] ?? "application/octet-stream",
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
  });
  response.end(readFileSync(squeezed ? `${name}.br` : name));
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost");
  let body = "";
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    if (!url.pathname.startsWith("/api/")) {
      file(url.pathname, response);
      return;
    }
    const form = request.method === "POST" ? new URLSearchParams(body) : url.searchParams;
    const [status, answer] = api(url, form);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
  });
});
server.listen(port, "127.0.0.1", () => console.log(`mock on http://127.0.0.1:${server.address().port}`));
if (argument("down")) setTimeout(() => process.exit(0), 10_000);
