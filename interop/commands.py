# SPDX-License-Identifier: Apache-2.0
"""The documents' own commands for shop, inference service and worker, in their order, with what they print.

Run by the case `documents_commands` inside a network and mount namespace of its own (`unshare`), so that 4317, 8081 or
9002 are free and `otel-collector` is this machine. Python's load generators of the documents are `foreglow load http` with
the same flags; curl is curl.
"""

import json
import re
import subprocess
import sys

import documents
from stack import Prometheus, Stack, binary, get, wait_for

PAGE = "http://127.0.0.1:7070"
STORE = Prometheus(PAGE)


def curl(*arguments):
    """Body and status."""
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    body, status = done.stdout.rsplit("\n", 1)
    return body, int(status)


def load(*flags):
    """`python generate_load.py` with these flags: what it prints."""
    done = subprocess.run([binary(), "load", "http", *flags], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def counted(expression, expected):
    def seen():
        found = STORE.value(expression)
        assert found == expected, f"{expression}: {found}, expected {expected}"
        return True

    wait_for(expression, seen)


def in_order(text, lines):
    """Every pattern is a line of the text, each after the one before."""
    rest = iter(text.splitlines())
    for line in lines:
        assert any(re.fullmatch(line, one.rstrip()) for one in rest), f"no line {line!r} in its place:\n{text}"


def inference(stack):
    """Fourth document: .env, health, predict, the load generator's report, spans and metrics, log lines, connectivity."""
    environment = {"APP_ENV": "local", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector:4317",
                   "OTEL_SERVICE_NAME": "ai-inference-service", "DEFAULT_LATENCY_MS": "100", "MAX_BATCH_SIZE": "32"}
    stack.start("inference", [binary(), "demo", "inference", "--listen=127.0.0.1:9002"], env=environment)
    wait_for("the service", lambda: get("http://localhost:9002/health"))
    assert curl("http://localhost:9002/health") == ('{"status":"ok","env":"local","tracing_enabled":true}', 200)
    body, status = curl("-X", "POST", "http://localhost:9002/predict", "-H", "Content-Type: application/json",
                        "-d", '{"features": [0.5, 1.5, 2.0]}')
    answer = json.loads(body)
    assert status == 200 and list(answer) == ["prediction", "model_name", "latency_ms", "trace_id"], body
    assert answer["prediction"] == 4.0 and answer["model_name"] == "simple-linear-demo" and 100 <= answer["latency_ms"] < 1000, body
    trace = wait_for("the trace of the answer", lambda: get(f"{PAGE}/api/traces/{answer['trace_id']}"))
    spans = {span["operationName"]: span for span in json.loads(trace)["data"][0]["spans"]}
    parent = spans.pop("HTTP POST /predict")
    assert sorted(spans) == ["format_response", "model_inference", "validate_input"], sorted(spans)
    assert all(span["references"][0]["spanID"] == parent["spanID"] for span in spans.values()), spans
    for wrong in ("{", "{}", '{"features": "x"}', '{"features": [null]}'):
        body, status = curl("-X", "POST", "http://localhost:9002/predict", "-H", "Content-Type: application/json", "-d", wrong)
        assert status == 422 and json.loads(body)["detail"][0]["msg"], body
    log = stack.logs["inference"].read_text()
    in_order(log, [".*INFO OpenTelemetry initialized", ".*INFO Exporting to: http://otel-collector:4317", ".*INFO Tracing enabled: true"])
    report = load("--url", "http://localhost:9002", "--requests", "500", "--concurrency", "10", "--rate", "50")
    number = r"\d+"
    in_order(report, [
        "Starting load test\\.\\.\\.", "URL: http://localhost:9002/predict", "Total requests: 500", "Concurrency: 10",
        r"Target rate: 50 req/s per worker.*", r"Results:", "=" * 40, r"Total requests: +500", r"Successful: +500", r"Failed: +0",
        r"Duration: +\d+\.\ds", r"Actual rate: +\d+\.\d req/s", "Latency Distribution:", rf"  Min: +{number}ms", rf"  Max: +{number}ms",
        rf"  Mean: +{number}ms", rf"  Median \(p50\): +{number}ms", rf"  p90: +{number}ms", rf"  p95: +{number}ms",
        rf"  p99: +{number}ms", "Histogram:", r"  \d+-\d+ms: +.*\d+%",
    ])
    counted("sum(predictions_total)", 501)
    counted('sum(http_requests_total{path="/predict",status="200"})', 501)
    counted("sum(errors_total)", 4)
    counted("sum(prediction_latency_ms_count)", 501)
    counted('sum(request_duration_ms_count{path="/predict"})', 505)
    counted("sum(active_requests)", 0)
    # "Collector not receiving data": nc -zv, health, own metrics; all of it is what doctor does.
    for port in (4317, 4318, 8888, 13133):
        assert subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/otel-collector/{port}"]).returncode == 0, port
    assert "Server available" in curl("http://otel-collector:13133/")[0]
    done = subprocess.run([binary(), "doctor", "--output=json", "--data", stack.folder / "data"], capture_output=True, text=True,
                          timeout=60, env=environment)
    found = json.loads(done.stdout)
    assert done.returncode == 0, [one for one in found["findings"] if one["verdict"] == "fail"]
    assert any(one["what"] == "OTLP/gRPC http://otel-collector:4317" and one["verdict"] == "ok" for one in found["findings"]), found
    return "500 of 500 requests, 501 predictions counted, doctor finds nothing that fails"


def shop(stack):
    """Second document: the six endpoints by curl, the load generator's line, its weights and labels in PromQL."""
    environment = {"ENV": "prod", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector:4318"}
    stack.start("shop", [binary(), "demo", "shop"], env=environment)
    base = "http://localhost:8081"
    wait_for("the shop", lambda: get(f"{base}/health"))
    for expected, *arguments in (
        (200, f"{base}/health"), (200, f"{base}/api/products"), (201, "-X", "POST", f"{base}/api/orders"),
        (200, f"{base}/api/reports"), (200, f"{base}/api/search?q=lamp"), (400, "-X", "POST", f"{base}/api/payments",
         "-H", "Content-Type: application/json", "-d", '{"amount": -1}'), (404, f"{base}/nothing"), (405, "-X", "DELETE", f"{base}/api/orders"),
    ):
        body, status = curl(*arguments)
        assert status == expected and json.loads(body), (arguments, status, body)
    before = 9  # and the one that waited for it
    report = load("--target", base, "--environment", "prod", "--rate", "50", "--duration", "10", "--output=json")
    total = json.loads(report)[0]["total"]
    assert 480 <= total <= 520, report
    counted('sum(http_server_request_duration_seconds_count{environment="prod",data_plane_id="dp-prod-01",service_name="api-service"})',
            total + before)
    share = {one["metric"]["http_route"]: float(one["value"][1]) / total
             for one in STORE.query('sum by (http_route) (http_server_request_duration_seconds_count{http_route!=""})')}
    for route, weight in (("/health", 40), ("/api/products", 30), ("/api/orders", 15), ("/api/reports", 10), ("/api/payments", 5)):
        assert abs(100 * share[route] - weight) < 8, (route, share)
    for name in ("http_server_active_requests", "http_server_request_body_size_bytes_count", "http_server_response_body_size_bytes_count",
                 "shop_orders_created_total", "shop_payments_total", 'shop_cache_requests_total{result="hit"}'):
        assert STORE.query(name), name
    return f"{total} requests counted, weights as in the document"


def worker(stack):
    """Third document: all 24 metrics by their names, traces, and the expressions of its dashboard."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel-collector:4317", "WORKER_LOAD": "20"}
    stack.start("worker", [binary(), "demo", "worker"], env=environment)
    for expression in ("scotty_log_streams_active", "scotty_shell_sessions_active", "scotty_websocket_connections"):
        wait_for(expression, lambda: STORE.value(f"max_over_time({expression}[1m])") or None)
    names = lambda: [one["metric"]["__name__"] for one in STORE.query('count by (__name__) ({__name__=~"scotty_.+", le=""})')]
    stems = ["log_streams_active", "log_streams_total", "log_stream_duration", "log_lines_received", "log_stream_errors",
             "log_stream_bytes", "shell_sessions_active", "shell_sessions_total", "shell_session_duration", "shell_session_errors",
             "shell_session_timeouts", "websocket_connections", "websocket_connections_total", "websocket_messages_sent",
             "websocket_messages_received", "websocket_auth_failures", "tasks_active", "tasks_total", "task_duration",
             "task_output_lines", "task_output_buffer_bytes", "memory_usage_bytes", "cpu_usage_percent", "uptime_seconds"]

    def all_there():
        found = names()
        missing = [stem for stem in stems if not any(name.startswith(f"scotty_{stem}") for name in found)]
        assert not missing, missing
        return True

    wait_for("all 24 metrics", all_there, 120)
    operations = set(json.loads(get(f"{PAGE}/api/services/scotty/operations"))["data"])
    assert {"log_stream", "shell_session", "websocket", "task"} <= operations, operations
    return f"{len(stems)} metrics, {len(operations)} operations"


def main():
    documents.prepare()
    failed = 0
    with Stack("commands") as stack:
        # `make demo-start` and the documents' compose files start this.
        stack.start("foreglow", [binary(), "--data", stack.folder / "data"])
        wait_for("foreglow", lambda: get(f"{PAGE}/-/ready"))
        for part in (inference, shop, worker):
            try:
                print(f"{part.__name__}: {part(stack)}", flush=True)
            except Exception as error:
                failed += 1
                print(f"{part.__name__}: FAILED {error!r}\n{stack.tail()}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
