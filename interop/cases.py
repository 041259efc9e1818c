# SPDX-License-Identifier: Apache-2.0
"""One function per real peer. A case starts what it needs, checks at the far end, and says what it saw."""

import json
import math
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

import backend_cases
import demo_cases
import grafana_cases
import load_cases
import object_store_cases
import own_metrics
import peers
import prometheus_cases
import promql_differential
import secure
import storage_cases
from stack import ROOT, Prometheus, binary, free_port, get, stop, wait_for

# @GRPC@ and @HTTP@ become the free ports of the process under test.
PASS_ALL = """
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:@GRPC@"}
      http: {endpoint: "127.0.0.1:@HTTP@"}
exporters:
"""


def pipelines(exporters, signals=("traces", "metrics", "logs")):
    lines = ["service:", "  pipelines:"]
    for signal in signals:
        lines.append(f"    {signal}: {{receivers: [otlp], exporters: [{', '.join(exporters)}]}}")
    return "\n".join(lines) + "\n"


def seen_services(server):
    return {s["name"]: s for s in json.loads(get(f"{server.page}/api/fg/v1/overview"))["services"]}


def telemetrygen(stack):
    """telemetrygen sends all three signals over gRPC and HTTP; every item is in the store."""
    tool = peers.telemetrygen()
    server = stack.foreglow()
    for transport, port in (("grpc", server.grpc_port), ("http", server.http_port)):
        for signal, count in (("traces", 50), ("metrics", 40), ("logs", 30)):
            service = f"tg-{transport}-{signal}"
            command = [tool, signal, f"--otlp-endpoint=127.0.0.1:{port}", "--otlp-insecure",
                       f"--{signal}={count}", "--workers=1", "--rate=0", f"--service={service}"]
            command += ["--otlp-http"] if transport == "http" else []
            command += ["--metric-type=Sum"] if signal == "metrics" else []
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
            unit = {"traces": "spans", "metrics": "points", "logs": "logs"}[signal]
            # telemetrygen makes a parent and a child span per trace
            least = count * 2 if signal == "traces" else count
            wait_for(f"{least} {unit} of {service}",
                     lambda: seen_services(server).get(service, {}).get(unit, 0) >= least)
    value = wait_for("its own counter", lambda: server.value('otelcol_receiver_accepted_spans_total{transport="grpc"}'))
    return f"traces, metrics and logs over gRPC and HTTP arrived; own counter of gRPC spans: {value}"


SDK_PROGRAM = """
import logging, time
from opentelemetry import trace, metrics
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
traces = TracerProvider(); traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
logs = LoggerProvider(); logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
logger = logging.getLogger("shop"); logger.addHandler(LoggingHandler(logger_provider=logs)); logger.setLevel(20)
counter = meters.get_meter("shop").create_counter("orders.created")
histogram = meters.get_meter("shop").create_histogram("http.server.request.duration", "s")
with traces.get_tracer("shop").start_as_current_span("POST /orders"):
    counter.add(7, {"plan": "gold"}); histogram.record(0.125); logger.warning("order %d created", 7)
for provider in (traces, meters, logs): provider.shutdown()
"""


def python_sdk(stack):
    """The Python SDK with nothing set but its service name: the endpoint is its default, localhost:4318."""
    python = peers.python_sdk()
    server = stack.foreglow()
    program = stack.folder / "app.py"
    program.write_text(SDK_PROGRAM)
    # Only the port differs from the default, since 4318 may be taken where tests run.
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{server.http_port}", "OTEL_SERVICE_NAME": "sdk-shop"}
    app = stack.start("app", [python, program], env=environment)
    assert app.wait(60) == 0, "the SDK program failed"
    wait_for("the counter", lambda: server.value('orders_created_total{service_name="sdk-shop",plan="gold"}') == 7)
    assert server.value('http_server_request_duration_seconds_count{service_name="sdk-shop"}') == 1
    service = wait_for("span and log", lambda: (s := seen_services(server)["sdk-shop"])["spans"] and s["logs"] and s)
    return f"counter, histogram, span and log record visible: {service}"


def python_sdk_over_tls(stack):
    """The Python SDK over HTTPS with a bearer token."""
    return secure.python_sdk_over_tls(stack, SDK_PROGRAM)


def go_collector_to_us(stack):
    """The Go collector forwards to us by OTLP gRPC and HTTP (gzip, its default)."""
    collector, tool = peers.otelcol(), peers.telemetrygen()
    server = stack.foreglow()
    port = free_port()
    config = stack.folder / "otelcol.yaml"
    config.write_text(f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters:
  otlp_grpc: {{endpoint: "127.0.0.1:{server.grpc_port}", tls: {{insecure: true}}}}
  otlp_http: {{endpoint: "http://127.0.0.1:{server.http_port}"}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_grpc]}}
    metrics: {{receivers: [otlp], exporters: [otlp_http]}}
    logs: {{receivers: [otlp], exporters: [otlp_grpc, otlp_http]}}
""")
    stack.start("otelcol", [collector, "--config", config])
    for signal, count in (("traces", 50), ("metrics", 40), ("logs", 30)):
        send = [tool, signal, f"--otlp-endpoint=127.0.0.1:{port}", "--otlp-insecure", f"--{signal}={count}",
                "--workers=1", "--rate=0", f"--service=via-{signal}"]
        wait_for("the collector to take load",
                 lambda: subprocess.run([str(c) for c in send], capture_output=True, timeout=60).returncode == 0)
    for signal, unit, least in (("traces", "spans", 100), ("metrics", "points", 40), ("logs", "logs", 60)):
        wait_for(f"{unit} through the Go collector",
                 lambda: seen_services(server).get(f"via-{signal}", {}).get(unit, 0) >= least)
    return "its gzip gRPC and HTTP exports of all signals arrived"


def us_to_go_collector(stack):
    """We forward to the Go collector by OTLP gRPC and HTTP; it writes what it decoded to a file."""
    collector, tool = peers.otelcol(), peers.telemetrygen()
    grpc, http, out = free_port(), free_port(), stack.folder / "received.jsonl"
    config = stack.folder / "otelcol.yaml"
    config.write_text(f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
exporters: {{file: {{path: {out}, flush_interval: 200ms}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [file]}}
    metrics: {{receivers: [otlp], exporters: [file]}}
    logs: {{receivers: [otlp], exporters: [file]}}
""")
    ours = PASS_ALL + f"""
  otlp: {{endpoint: "127.0.0.1:{grpc}", tls: {{insecure: true}}}}
  otlphttp: {{endpoint: "http://127.0.0.1:{http}"}}
""" + pipelines(["otlp", "otlphttp"])
    # We start first: a peer that is not there yet must cost nothing but retries.
    server = stack.foreglow(ours)
    for signal, count in (("traces", 50), ("metrics", 40), ("logs", 30)):
        subprocess.run([str(c) for c in [tool, signal, f"--otlp-endpoint=127.0.0.1:{server.grpc_port}", "--otlp-insecure",
                        f"--{signal}={count}", "--workers=1", "--rate=0"]], check=True, capture_output=True, timeout=60)
    stack.start("otelcol", [collector, "--config", config])

    def counts():
        found = {"spans": 0, "logRecords": 0, "dataPoints": 0}
        for line in out.read_text().splitlines():
            for key in found:
                found[key] += count_key(json.loads(line), key)
        # every item goes out twice: once by each exporter
        return found if found["spans"] >= 200 and found["dataPoints"] >= 80 and found["logRecords"] >= 60 else None

    return f"the Go collector decoded {wait_for('both exports', counts, 60)}"


def count_key(node, key):
    if isinstance(node, list):
        return sum(count_key(child, key) for child in node)
    if isinstance(node, dict):
        return sum(len(child) if name == key else count_key(child, key) for name, child in node.items())
    return 0


REMOTE_WRITE = PASS_ALL + """
  prometheusremotewrite: {endpoint: "http://127.0.0.1:%d%s"}
  embedded_store:
""" + pipelines(["prometheusremotewrite", "embedded_store"], ["metrics"])


def remote_write(stack, port, path):
    """Sends generated metrics of all kinds; the same queries answer the same here and there."""
    tool = peers.telemetrygen()
    server = stack.foreglow(REMOTE_WRITE % (port, path))
    there = Prometheus(f"http://127.0.0.1:{port}")
    for kind in ("Gauge", "Sum", "Histogram"):
        subprocess.run([str(c) for c in [tool, "metrics", f"--otlp-endpoint=127.0.0.1:{server.grpc_port}", "--otlp-insecure",
                        "--metrics=20", "--workers=1", "--rate=10", f"--metric-type={kind}", f"--otlp-metric-name=fg.{kind.lower()}",
                        "--service=rw"]], check=True, capture_output=True, timeout=60)
    now = math.floor(time.time()) + 1
    def listed():
        found = json.loads(get(f"{there.base}/api/v1/label/__name__/values"))["data"]
        found = sorted(name for name in found if name.startswith("fg_"))
        return "fg_histogram_count" in found and found

    names = wait_for("names of all kinds there", listed)
    compared = 0
    # Prometheus 2.x has closed range intervals, so only what does not depend on them is compared.
    for expression in [f"{name}" for name in names] + [f"sum by (job, le) ({name})" for name in names] + [f"count({name})" for name in names]:
        def same():
            a = canonical(server.range(expression, now - 60, now, 5))
            b = canonical(there.range(expression, now - 60, now, 5))
            assert a == b, (expression, a, b)
            return a
        compared += len(wait_for(f"equal answers to {expression}", same))
    return f"{len(names)} metric names, {compared} series equal"


def canonical(matrix):
    # Our store promotes service.name to a label of its own; remote write has it as job, as the
    # collector's exporter does.
    return sorted((sorted((n, v) for n, v in s["metric"].items() if n != "service_name"), [(float(t), float(v)) for t, v in s["values"]]) for s in matrix)


def prometheus(stack):
    """Prometheus takes our remote write and answers the same."""
    program, port = peers.prometheus(), free_port()
    config = stack.folder / "prometheus.yml"
    config.write_text("global: {}\n")
    stack.start("prometheus", [program, f"--config.file={config}", f"--storage.tsdb.path={stack.folder}/prometheus",
                               f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"])
    wait_for("prometheus", lambda: get(f"http://127.0.0.1:{port}/-/ready"))
    return remote_write(stack, port, "/api/v1/write")


def victoria_metrics(stack):
    """VictoriaMetrics takes our remote write and answers the same."""
    program, port = peers.victoria_metrics(), free_port()
    stack.start("victoria-metrics", [program, f"-storageDataPath={stack.folder}/vm", f"-httpListenAddr=127.0.0.1:{port}",
                                     "-search.latencyOffset=0s", "-search.disableCache"])
    wait_for("victoria-metrics", lambda: get(f"http://127.0.0.1:{port}/health"))
    return remote_write(stack, port, "/api/v1/write")


def promtool(stack):
    """promtool queries us: instant, range, labels, series."""
    tool = peers.promtool()
    server = stack.foreglow()
    wait_for("own metrics", lambda: server.value("count(otelcol_process_uptime_total)"))
    seen = []
    now = int(time.time())
    for arguments in (["instant", server.page, "sum(otelcol_process_uptime_total) > 0"],
                      ["range", f"--start={now - 30}", f"--end={now + 30}", "--step=5s", server.page, "otelcol_process_uptime_total"],
                      ["labels", server.page, "__name__"],
                      ["series", "--match=otelcol_process_uptime_total", server.page]):
        done = wait_for(f"promtool query {arguments[0]}", lambda: (
            d := subprocess.run([str(tool), "query", *arguments], capture_output=True, text=True, timeout=30)) and d.returncode == 0 and d.stdout.strip() and d)
        seen.append(f"{arguments[0]} {len(done.stdout.splitlines())} lines")
    return ", ".join(seen)


def mlserver(stack):
    """A real MLServer answers metricsinference; killed, the originals flow on and it is counted."""
    python, tool = peers.mlserver(), peers.telemetrygen()
    grpc, http, metrics = free_port(), free_port(), free_port()
    start = lambda: stack.start("mlserver", [python.parent / "mlserver", "start", ROOT / "examples/mlserver"], env={
        "MLSERVER_GRPC_PORT": str(grpc), "MLSERVER_HTTP_PORT": str(http), "MLSERVER_METRICS_PORT": str(metrics),
        "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_HOST": "127.0.0.1"})
    model_server = start()
    wait_for("mlserver", lambda: get(f"http://127.0.0.1:{http}/v2/health/ready") is not None, 90)
    server = stack.foreglow("""
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:@GRPC@"}, http: {endpoint: "127.0.0.1:@HTTP@"}}}
processors:
  metricsinference:
    grpc: {endpoint: "127.0.0.1:@MODEL@", use_ssl: false}
    rules:
      - model_name: simple-scaler
        inputs: [fg.load]
        outputs: [{name: fg.load.predicted, data_type: float}]
        parameters: {scale_factor: 2.0}
exporters: {embedded_store: }
service:
  pipelines:
    metrics: {receivers: [otlp], processors: [metricsinference], exporters: [embedded_store]}
""".replace("@MODEL@", str(grpc)))

    def send(name):
        subprocess.run([str(c) for c in [tool, "metrics", f"--otlp-endpoint=127.0.0.1:{server.grpc_port}", "--otlp-insecure", "--metrics=5",
                        "--workers=1", "--rate=5", "--metric-type=Gauge", f"--otlp-metric-name={name}", "--service=ml"]],
                       check=True, capture_output=True, timeout=60)

    def predicted():
        send("fg.load")
        original, doubled = server.value("max(fg_load)"), server.value("max(fg_load_predicted)")
        return original and doubled == 2 * original and f"{original} -> {doubled}"

    seen = wait_for("a prediction by MLServer", predicted)
    stop(model_server)

    def counted():
        send("fg.load")
        lines = [line for line in server.metrics().splitlines() if line.startswith("foreglow_inference_requests") and 'outcome="ok"' not in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines) > 0
    wait_for("the failure to be counted", counted)
    send("fg.after")
    wait_for("originals without a model server", lambda: server.value("max(fg_after)") is not None)
    return f"predicted {seen}; with MLServer dead the originals arrived and the failure was counted"


def browser(stack):
    """Chromium drives the page of the demo stack; numbers on it equal PromQL answers."""
    chromium = peers.chromium()
    web = ROOT / "web"
    if not (web / "node_modules" / "playwright-core").exists():
        peers.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=web)
    server = stack.foreglow(command=["demo"])
    wait_for("demo data", lambda: server.value("count(http_server_request_duration_seconds_count)"))
    wait_for("predictions", lambda: server.value("count(system_cpu_utilization_predicted)"))
    done = subprocess.run(["node", str(web / "e2e" / "smoke.mjs"), "--shots", str(stack.folder / "shots")],
                          capture_output=True, text=True, timeout=400,
                          env={**os.environ, "BASE_URL": server.page, "CHROMIUM": str(chromium)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def go_collector_over_unix_sockets(stack):
    """Go collector -> us -> Go collector, both hops over unix domain sockets."""
    collector, port, folder = peers.otelcol(), free_port(), stack.folder
    out = folder / "received.jsonl"
    config = folder / "otelcol.yaml"
    config.write_text(f"""
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}
  otlp/back: {{protocols: {{grpc: {{transport: unix, endpoint: {folder}/theirs.sock}}}}}}
exporters:
  otlp_grpc: {{endpoint: "unix://{folder}/ours.sock", tls: {{insecure: true}}}}
  file: {{path: {out}, flush_interval: 100ms}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_grpc]}}
    traces/back: {{receivers: [otlp/back], exporters: [file]}}
""")
    stack.foreglow(f"""
receivers: {{otlp: {{protocols: {{grpc: {{transport: unix, endpoint: {folder}/ours.sock}}}}}}}}
exporters: {{otlp: {{endpoint: "unix://{folder}/theirs.sock", tls: {{insecure: true}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}
""")
    stack.start("otelcol", [collector, "--config", config])
    command = [peers.telemetrygen(), "traces", f"--otlp-endpoint=127.0.0.1:{port}", "--otlp-insecure",
               "--traces=25", "--workers=1", "--rate=0", "--service=unix"]
    wait_for("the Go collector to take load",
             lambda: subprocess.run([str(part) for part in command], capture_output=True, timeout=60).returncode == 0)

    def back():
        found = count_key([json.loads(line) for line in out.read_text().splitlines()], "spans")
        return found >= 50 and found

    return f"{wait_for('spans back at the Go collector', back)} spans over both sockets"


def beside_go(stack, what, collector):
    """Runs `differential.py`; its last line is the result."""
    done = subprocess.run(
        [peers.with_yaml(), ROOT / "interop" / "differential.py", what, binary(), collector],
        capture_output=True, text=True, timeout=1500, cwd=stack.folder,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def differential(stack):
    """The same YAML and input through the Go collector and through us: equal output."""
    return beside_go(stack, "outputs", peers.otelcol_contrib())


def verdicts(stack):
    """Upstream's own test configurations are accepted and refused as the Go collector does."""
    of_all = beside_go(stack, "verdicts", peers.otelcol_contrib())
    return f"{of_all}; {beside_go(stack, 'verdicts', peers.otelcol_host())}"


def documents(stack):
    """Configurations from the field run unmodified, on their own ports, with the peers they name."""
    folder = pathlib.Path(os.environ.get("FOREGLOW_FIELD_CONFIGS", ROOT.parent / "shared" / "configs"))
    if not folder.is_dir():
        return f"{folder} is not there: nothing to run (FOREGLOW_FIELD_CONFIGS names another folder)"
    namespace = ["unshare", "--mount", "--net", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        raise peers.Missing("this user may not make a network namespace (unshare --net)")
    done = subprocess.run(
        [*namespace, sys.executable, ROOT / "interop" / "documents.py", folder], capture_output=True, text=True, timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def scrapes(stack):
    """The same pages scraped by the Go collector and by us, Prometheus' own among them: equal OTLP."""
    program, port = peers.prometheus(), free_port()
    config = stack.folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: self, static_configs: "
                      f"[{{targets: ['127.0.0.1:{port}']}}]}}]\n")
    stack.start("prometheus", [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                               f"--storage.tsdb.path={stack.folder / 'tsdb'}", "--enable-feature=native-histograms"])
    wait_for("Prometheus", lambda: "prometheus_tsdb_head_samples_appended_total" in get(f"http://127.0.0.1:{port}/metrics"))
    kept = []
    for name, accept in (
        ("text", "text/plain;version=0.0.4"),
        ("openmetrics", "application/openmetrics-text;version=1.0.0"),
        ("protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"),
    ):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            file = stack.folder / f"prometheus-{name}"
            file.write_bytes(answer.read())
            kept.append(f"{answer.headers['Content-Type']}={file}")
    done = subprocess.run(
        [peers.with_yaml(), ROOT / "interop" / "scrapes.py", binary(), peers.otelcol_contrib(), *kept],
        capture_output=True, text=True, timeout=900, cwd=stack.folder,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def files(stack):
    """The same files of OTLP/JSON read by the Go collector and by us: equal items."""
    done = subprocess.run(
        [peers.with_yaml(), ROOT / "interop" / "files.py", binary(), peers.otelcol_contrib()],
        capture_output=True, text=True, timeout=300, cwd=stack.folder,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def beside_host(stack, program):
    """Runs `program` with our binary and the Go collector that has what the small ones lack; its last line is the result."""
    done = subprocess.run(
        [peers.with_yaml(), ROOT / "interop" / program, binary(), peers.otelcol_host()],
        capture_output=True, text=True, timeout=900, cwd=stack.folder,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


def bulk_like_go(stack):
    """The Elasticsearch exporter of the Go collector and ours, in each mapping mode: equal documents."""
    return beside_host(stack, "bulk.py")


def host_like_go(stack):
    """The host metrics of the Go collector and ours, each scraper: equal metrics, units, types and attributes."""
    return beside_host(stack, "host.py")


def written_like_go(stack):
    """What the exporters `file` and `debug` of the Go collector write, and ours: equal items, equal text."""
    done = subprocess.run(
        [peers.with_yaml(), ROOT / "interop" / "written.py", binary(), peers.otelcol_contrib()],
        capture_output=True, text=True, timeout=300, cwd=stack.folder,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


# Quick ones first: `--minutes` starts as many as fit its time.
ALL = [telemetrygen, python_sdk, python_sdk_over_tls, secure.go_collector_over_mtls, promtool, prometheus, victoria_metrics,
       *prometheus_cases.ALL, *grafana_cases.ALL, demo_cases.planes, demo_cases.worker_stack, demo_cases.inference_stack, browser, *promql_differential.ALL, mlserver,
       go_collector_to_us, us_to_go_collector, go_collector_over_unix_sockets, *backend_cases.ALL, *storage_cases.ALL, *object_store_cases.ALL,
       differential, written_like_go, own_metrics.own_metrics_like_go, bulk_like_go, host_like_go, files, scrapes,
       demo_cases.scenarios, demo_cases.walkthrough, demo_cases.documents_commands, *load_cases.ALL, verdicts, documents]
