# SPDX-License-Identifier: Apache-2.0
"""The demo's system of data planes as a user runs it, seen by its own control plane and by a real Prometheus."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import peers
from stack import ROOT, Prometheus, binary, free_port, get, wait_for

COUNT = 'sum by (environment) (http_server_request_duration_seconds_count{http_route!~"|/admin/faults"})'
PLANES = ("prod", "dev", "qa")


def family(process):
    """Processes that a process has started, by their names."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = (path.parent / "cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == process.pid:
            found[" ".join(command[1:])] = int(path.parent.name)
    return found


def resident(pids):
    lines = [pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() for pid in pids]
    return sum(int(line.split()[1]) for status in lines for line in status if line.startswith("VmRSS:")) / 1024


def counts(server):
    return {one["metric"]["environment"]: float(one["value"][1]) for one in server.query(COUNT)}


def free_shift(ports):
    """By how much all of these can be moved to be free, below the ports that systems give out."""
    for shift in range(1000 + os.getpid() % 97 * 101, 15000, 101):
        probes = [socket.socket() for _ in ports]
        try:
            for probe, port in zip(probes, ports):
                probe.bind(("127.0.0.1", port + shift))
            return shift
        except OSError:
            pass
        finally:
            for probe in probes:
                probe.close()
    raise AssertionError(f"no room for {ports}")


def demo(stack, which, ports, told, env):
    """Starts a system on moved ports; returns its process, by how much they moved, and after how long all of it was seen."""
    shift, begun = free_shift(ports), time.monotonic()
    process = stack.start(which, [binary(), "demo", which, "--data", stack.folder / "data", f"--port-shift={shift}"], env=env)
    wait_for(told, lambda: told in stack.logs[which].read_text(), 90)
    return process, shift, time.monotonic() - begun


def end(stack, which, process):
    """Ctrl-C: all of its processes are gone then."""
    children = family(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, stack.logs[which].read_text()
    left = [command for command, pid in children.items() if pathlib.Path(f"/proc/{pid}").exists()]
    assert not left, left


def kill(stack, which, process, word, name, how=signal.SIGKILL):
    """One process of a system; the others are the same when it is back."""
    before = family(process)
    victim = next(pid for command, pid in before.items() if word in command)
    os.kill(victim, how)
    wait_for(f"{name} to be back", lambda: f"{name} is started again" in stack.logs[which].read_text())
    after = wait_for("all of them", lambda: (now := family(process)).keys() == before.keys() and now)
    assert {command for command, pid in after.items() if before[command] != pid} == {c for c, pid in before.items() if pid == victim}


def real_prometheus(stack, config="scrape_configs: []", name="prometheus"):
    port, path = free_port(), stack.folder / f"{name}.yml"
    path.write_text(config)
    stack.start(name, [peers.prometheus_3(), f"--config.file={path}", f"--storage.tsdb.path={stack.folder}/{name}", "--web.enable-remote-write-receiver",
                       f"--web.listen-address=127.0.0.1:{port}"])
    wait_for("prometheus", lambda: get(f"http://127.0.0.1:{port}/-/ready"))
    return Prometheus(f"http://127.0.0.1:{port}")


def real_victoria(stack, *arguments):
    port = free_port()
    stack.start("victoria-metrics", [peers.victoria_metrics(), f"-storageDataPath={stack.folder}/vm", f"-httpListenAddr=127.0.0.1:{port}",
                                     "-search.latencyOffset=0s", "-search.disableCache", *arguments])
    wait_for("victoria-metrics", lambda: get(f"http://127.0.0.1:{port}/health"))
    return Prometheus(f"http://127.0.0.1:{port}")


# The third document's 24 metrics as Prometheus has them.
WORKER = """log_streams_active log_streams_total log_stream_duration_seconds_count log_lines_received_total log_stream_errors_total log_stream_bytes_total
shell_sessions_active shell_sessions_total shell_session_duration_seconds_count shell_session_errors_total shell_session_timeouts_total
websocket_connections websocket_connections_total websocket_messages_sent_total websocket_messages_received_total websocket_auth_failures_total
tasks_active tasks_total task_duration_seconds_count task_output_lines_total task_output_buffer_bytes
memory_usage_bytes cpu_usage_percent uptime_seconds_total""".split()


def jobs(jaeger, operation, instance):
    """The spans of one kind of job of one worker, by Jaeger's API."""
    found = json.loads(get(f"{jaeger}/api/traces", service="scotty", operation=operation, limit=1500, lookback="1h"))["data"]
    roots = []
    for trace in found:
        for span in trace["spans"]:
            tags = {tag["key"]: tag["value"] for tag in trace["processes"][span["processID"]]["tags"]}
            if span["operationName"] == operation and tags["service.instance.id"] == instance:
                roots.append({tag["key"]: tag["value"] for tag in span["tags"]})
    return roots


def worker_agrees(server, jaeger, instance):
    """What a worker that has ended counted is what its spans say."""
    def counted(name):
        return server.value(f'sum(last_over_time(scotty_{name}{{instance="{instance}"}}[5m]))') or 0

    seen = {}
    for operation, total, duration, errors in (("task", "tasks_total", "task_duration_seconds_count", None),
                                               ("log_stream", "log_streams_total", "log_stream_duration_seconds_count", "log_stream_errors_total"),
                                               ("shell_session", "shell_sessions_total", "shell_session_duration_seconds_count", "shell_session_errors_total")):
        spans = jobs(jaeger, operation, instance)
        over = [tags["outcome"] for tags in spans if "outcome" in tags]
        expected = {total: len(spans), duration: len(over)} | ({errors: over.count("error")} if errors else {})
        if operation == "shell_session":
            expected["shell_session_timeouts_total"] = over.count("timeout")
        found = {name: counted(name) for name in expected}
        assert found == expected and len(spans) < 1500, (server.base, found, expected)
        seen[operation] = len(spans)
    assert all(counted(name) == 0 for name in ("tasks_active", "log_streams_active", "shell_sessions_active", "websocket_connections"))
    return seen


def worker_stack(stack):
    """The third document's system by one command, and its collector file with a real VictoriaMetrics, Prometheus and Jaeger: all 24 metrics, equal to the spans."""
    env = {"WORKER_LOAD": "5"}
    process, shift, visible = demo(stack, "worker-stack", (4317, 4318, 8428, 8888, 14250, 16686), "are in the store after", env)
    ours, our_traces = Prometheus(f"http://127.0.0.1:{8428 + shift}"), f"http://127.0.0.1:{16686 + shift}"
    victoria, prometheus = real_victoria(stack), real_prometheus(stack)
    ports = {"proto": free_port(), "thrift": free_port(), "query": free_port(), "query_grpc": free_port()}
    their_traces, otlp = peers.start_jaeger(stack, **ports), free_port()
    sets = [f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{otlp}", f"receivers.otlp.protocols.http.endpoint=127.0.0.1:{free_port()}",
            f"exporters.jaeger.endpoint=127.0.0.1:{ports['proto']}", f"exporters.prometheusremotewrite.endpoint={victoria.base}/api/v1/write",
            f"exporters.prometheusremotewrite/2.endpoint={prometheus.base}/api/v1/write",
            "service.pipelines.metrics.exporters=[prometheusremotewrite, prometheusremotewrite/2, logging]",
            f"service.telemetry.metrics.address=127.0.0.1:{free_port()}"]
    stack.start("collector", [binary(), f"--config={stack.folder}/data/worker-stack/collector.yaml", "--listen=off", f"--data={stack.folder}/collector",
                              *[f"--set={one}" for one in sets]])
    worker = stack.start("worker", [binary(), "demo", "worker"], env={**env, "OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                                                                      "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}"})
    servers = ((ours, our_traces), (victoria, their_traces), (prometheus, their_traces))
    for server, _ in servers:
        def missing():
            names = json.loads(get(f"{server.base}/api/v1/label/__name__/values"))["data"]
            lacks = [name for name in WORKER if f"scotty_{name}" not in names]
            assert not lacks, (server.base, lacks)
            return True
        wait_for("all 24 metrics", missing, 120)
    memory = resident([process.pid, *family(process).values()])
    instances = {server.base: server.query("count by (instance) (scotty_tasks_total)")[0]["metric"]["instance"] for server, _ in servers}
    worker.send_signal(signal.SIGTERM)
    kill(stack, "worker-stack", process, "demo worker", "worker", signal.SIGTERM)
    # The document's batch waits for 10 s.
    agreed = [wait_for(f"{server.base} to agree with the spans", lambda: worker_agrees(server, traces, instances[server.base])) for server, traces in servers]
    assert agreed[1] == agreed[2], agreed
    kill(stack, "worker-stack", process, "store.yaml", "store")
    wait_for("data after the store's return", lambda: (ours.value("time() - max(timestamp(scotty_tasks_total))") or 99) < 15, 60)
    worker_agrees(ours, our_traces, instances[ours.base])
    end(stack, "worker-stack", process)
    return (f"24 metrics in three stores, jobs counted as traced {agreed[0]} and {agreed[1]}; visible after {visible:.1f} s, "
            f"{memory:.0f} MiB for 4 processes; worker and store killed and back")


def inference_stack(stack):
    """The fourth document's system by one command, its 8889 scraped by a real Prometheus and VictoriaMetrics too: requests counted are requests sent."""
    usual = (4317, 4318, 7070, 8888, 8889, 9000, 13133, 14250, 16686)
    process, shift, visible = demo(stack, "inference-stack", usual, "are in the store after", {"DEFAULT_LATENCY_MS": "10"})
    scrape = ("scrape_configs:\n  - {job_name: otel-collector, honor_labels: true, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:%d']}]}\n"
              % (8889 + shift))
    prometheus = real_prometheus(stack, scrape)
    victoria = real_victoria(stack, f"-promscrape.config={stack.folder}/prometheus.yml")
    ours, url = Prometheus(f"http://127.0.0.1:{7070 + shift}"), f"http://127.0.0.1:{9000 + shift}"
    assert json.loads(get(f"{url}/health")) == {"status": "ok", "env": "local", "tracing_enabled": True}
    done = subprocess.run([binary(), "load", "http", f"--url={url}/predict", "--requests=500", "--concurrency=10", "--output=json"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for _ in range(7):
        request = urllib.request.Request(f"{url}/predict", b'{"features": ["x"]}', {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request)
        except urllib.error.HTTPError as refused:
            assert refused.code == 422, refused.code
    expected = {"sum(predictions_total)": 500, 'sum(http_requests_total{path="/predict",status="200"})': 500,
                'sum(http_requests_total{path="/predict",status="422"})': 7, "sum(errors_total)": 7, "sum(prediction_latency_ms_count)": 500,
                'sum(request_duration_ms_count{path="/predict"})': 507, "sum(active_requests)": 0,
                'sum(prediction_latency_ms_bucket{le="+Inf"})': 500}

    def counted(server):
        seen = {expression: server.value(expression) for expression in expected}
        assert seen == expected, (server.base, seen)
        return True

    for server in (ours, prometheus, victoria):
        wait_for("what was sent to be counted", lambda: counted(server))
    traces = f"http://127.0.0.1:{16686 + shift}"
    trace = json.loads(done.stdout)[0]["slowest"][0]["trace_id"]
    spans = wait_for("the whole trace", lambda: len(all := json.loads(get(f"{traces}/api/traces/{trace}"))["data"][0]["spans"]) == 4 and all)
    ids = {span["spanID"]: span["operationName"] for span in spans}
    # Its root has the load generator's span above it, which is not sent.
    parents = {span["operationName"]: [ids.get(one["spanID"]) for one in span["references"]] for span in spans}
    root = "HTTP POST /predict"
    assert parents == {root: [None], "validate_input": [root], "model_inference": [root], "format_response": [root]}, parents
    memory = resident([process.pid, *family(process).values()])
    kill(stack, "inference-stack", process, "collector.yaml", "collector")
    for server in (ours, prometheus, victoria):
        wait_for("the same counts after the collector's return", lambda: server.value("min(up)") == 1 and counted(server))
    end(stack, "inference-stack", process)
    return f"500 requests and 7 mistakes counted by three stores; visible after {visible:.1f} s, {memory:.0f} MiB for 4 processes; collector killed and back"


def planes(stack):
    """Three data planes and a control plane by one command: what the load sent is what both count; one killed comes back."""
    data, page = stack.folder / "data", free_port()
    process = stack.start("planes", [binary(), "demo", "planes", "--data", data, f"--listen=127.0.0.1:{page}"])
    begun = time.monotonic()
    log = stack.logs["planes"]
    wait_for("all planes to be scraped", lambda: "All 3 data planes are scraped" in log.read_text())
    visible = time.monotonic() - begun
    ours = Prometheus(f"http://127.0.0.1:{page}")
    program, port = peers.prometheus_3(), free_port()
    stack.start("prometheus", [program, f"--config.file={data}/planes/prometheus.yml", f"--storage.tsdb.path={stack.folder}/prometheus",
                               f"--web.listen-address=127.0.0.1:{port}"])
    theirs = Prometheus(f"http://127.0.0.1:{port}")
    wait_for("prometheus", lambda: get(f"{theirs.base}/-/ready"))
    targets = [f"--environment={plane}" for plane in PLANES]
    done = subprocess.run([binary(), "load", "http", *targets, "--duration=5", "--output=json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    sent = {plane: part["total"] for plane, part in zip(PLANES, json.loads(done.stdout))}
    assert all(sent.values()), sent
    failed = {plane: part["failed"] for plane, part in zip(PLANES, json.loads(done.stdout))}

    # Each shop was asked once whether it is there.
    expected = {plane: count + 1 for plane, count in sent.items()}

    def all_counted(server):
        seen = counts(server)
        assert seen == expected, (seen, expected)
        return True

    wait_for("the control plane to count what was sent", lambda: all_counted(ours))
    wait_for("Prometheus to count what was sent", lambda: all_counted(theirs))
    errors = 'sum by (environment) (http_server_request_duration_seconds_count{http_response_status_code=~"5.."})'
    for server in (ours, theirs):
        found = {one["metric"]["environment"]: float(one["value"][1]) for one in server.query(errors)}
        assert found == {plane: count for plane, count in failed.items() if count}, (found, failed)
    # The second document divides series by series: each is divided by itself.
    always = "rate(http_server_request_duration_seconds_count{http_response_status_code=~\"5..\"}[5m]) / rate(http_server_request_duration_seconds_count[5m])"
    assert all(one["value"][1] in ("1", "NaN") for one in ours.query(always)), ours.query(always)
    slowest = [part["slowest"][0]["trace_id"] for part in json.loads(done.stdout)]
    for trace in slowest:
        wait_for(f"trace {trace}", lambda: get(f"http://127.0.0.1:{page}/api/traces/{trace}"))
    children = family(process)
    memory = resident([process.pid, *children.values()])
    dev = next(pid for command, pid in children.items() if "dev-collector" in command)
    os.kill(dev, signal.SIGKILL)
    wait_for("the killed one to be back", lambda: "dev-collector is started again" in log.read_text())
    wait_for("it to be scraped", lambda: ours.value('up{job="dataplane-dev"}') == 1 and family(process).keys() == children.keys())
    # Not since the start: whoever is not there yet at the first scrape is down.
    others = ours.value('min(min_over_time(up{job=~"dataplane-(prod|qa)"}[%ds]))' % (time.monotonic() - begun - visible))
    assert others == 1, f"the others went on: {others}"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, log.read_text()
    left = [pid for pid in children.values() if pathlib.Path(f"/proc/{pid}").exists()]
    assert not left, left
    assert memory < 400, f"{memory:.0f} MiB"
    return f"{sum(sent.values())} requests counted by both, visible after {visible:.1f} s, {memory:.0f} MiB for {len(children) + 1} processes"


def scenarios(stack):
    """Each scenario by one command: PromQL shows it where it happens and nowhere else, and nothing is left of it."""
    data, page, seen = stack.folder / "data", free_port(), []
    process = stack.start("planes", [binary(), "demo", "planes", "--data", data, f"--listen=127.0.0.1:{page}"])
    wait_for("all planes to be scraped", lambda: "All 3 data planes are scraped" in stack.logs["planes"].read_text())
    for name in ("normal", "prod-latency", "qa-errors", "compare"):
        # What the last one did has to leave the windows of PromQL first.
        time.sleep(0 if name == "normal" else 35)
        command = [binary(), "load", "scenario", name, "--data", data, f"--listen=127.0.0.1:{page}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
        assert done.returncode == 0, done.stdout + done.stderr
        seen.append(f"{name}: {done.stdout.strip().splitlines()[-1]}")
        faults = [json.loads(get(f"http://127.0.0.1:{port}/admin/faults")) for port in (8081, 8082, 8083)]
        assert all(one["error_rate"] == 0 and one["latency_ms"] == 0 for one in faults), faults
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    return "; ".join(seen)


def walkthrough(stack):
    """The first document's demonstration by one command: every statement of it is asked of the store, the first that fails ends it."""
    command = [binary(), "demo", "walkthrough", "--data", stack.folder / "data"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    held = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ok")]
    assert len(held) >= 20, done.stdout
    return f"{len(held)} statements; {done.stdout.strip().splitlines()[-1]}; " + next(line for line in held if "the forecast saw" in line)


def documents_commands(stack):
    """The documents' own commands for shop, inference service and worker, in their order; answers as they print them."""
    namespace = ["unshare", "--mount", "--net", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        raise peers.Missing("this user may not make a network namespace (unshare --net)")
    done = subprocess.run([*namespace, sys.executable, ROOT / "interop" / "commands.py"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return "; ".join(done.stdout.strip().splitlines())
