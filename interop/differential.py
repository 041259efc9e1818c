# SPDX-License-Identifier: Apache-2.0
"""The same YAML and the same input through the Go collector and through us: the output must be equal.

Run by the cases `differential` and `config_verdicts` with an interpreter that has PyYAML:
`differential.py outputs|verdicts FOREGLOW OTELCOL [name ...]`. Cases are data: `differential/*.yaml`, a list of
    {name, signal, input, processors, chain, [settle: seconds], [ignore: parts not compared], [env: variables], [warm: seconds before the first request],
     [exporter: otlp or otlphttp, settings: its own; to a Go collector that passes on],
     [differs: why we answer otherwise]}
with inputs in `differential/input/*.json` (OTLP/JSON requests, one a line). Output is compared item by item:
grouping into requests, order of items and of attributes, and absent versus empty fields do not matter.
"""

import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

from stack import free_port

HERE = pathlib.Path(__file__).resolve().parent / "differential"
ITEMS = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
}
START_SECONDS = 30


class Sink:
    """Takes OTLP/HTTP in JSON and keeps the requests."""

    def __init__(self):
        self.requests = []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.requests.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def command(program, ours, config, data):
    return [program, "--config", config] + (["--listen=off", f"--data={data}"] if ours else [])


class Relay:
    """A Go collector between an exporter under test and the sink: it takes what the sink does not, gRPC and protobuf."""

    def __init__(self, otelcol, sink, folder):
        self.grpc, self.http = free_port(), free_port()
        config = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{self.grpc}"}, "http": {"endpoint": f"127.0.0.1:{self.http}"}}}},
            "exporters": {"otlphttp": {"endpoint": f"http://127.0.0.1:{sink.port}", "encoding": "json", "compression": "none",
                                       "sending_queue": {"enabled": False}}},
            "service": {"telemetry": {"metrics": {"level": "none"}}, "pipelines": {
                signal: {"receivers": ["otlp"], "exporters": ["otlphttp"]} for signal in ITEMS}},
        }
        path = folder / "relay.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        log = path.with_suffix(".log")
        with log.open("w") as stream:
            self.process = subprocess.Popen([otelcol, "--config", path], stdout=stream, stderr=subprocess.STDOUT)
        for port in (self.grpc, self.http):
            wait_until_up(self.process, log, port)

    def exporter(self, kind, settings):
        endpoint = {"otlp": f"127.0.0.1:{self.grpc}", "otlphttp": f"http://127.0.0.1:{self.http}"}[kind]
        plain = {"tls": {"insecure": True}} if kind == "otlp" else {}
        return {kind: {"endpoint": endpoint, "sending_queue": {"enabled": False}, **plain, **settings}}

    def close(self):
        self.process.kill()
        self.process.wait()


def output(program, ours, case, folder, otelcol):
    """Everything that came out for the case's input, flattened and sorted; and what each request was answered."""
    sink, port = Sink(), free_port()
    relay = Relay(otelcol, sink, folder) if "exporter" in case else None
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": case.get("processors", {}),
        "exporters": relay.exporter(case["exporter"], case.get("settings", {})) if relay else {"otlphttp": {
            "endpoint": f"http://127.0.0.1:{sink.port}", "encoding": "json", "compression": "none",
            "sending_queue": {"enabled": False},
        }},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {case["signal"]: {
                "receivers": ["otlp"], "processors": case.get("chain", list(case.get("processors", {}))),
                "exporters": [case.get("exporter", "otlphttp")],
            }},
        },
    }
    path = folder / ("ours.yaml" if ours else "theirs.yaml")
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    log = path.with_suffix(".log")
    with log.open("w") as stream:
        process = subprocess.Popen(
            command(program, ours, path, folder / "data"), stdout=stream, stderr=subprocess.STDOUT,
            env={**os.environ, **case.get("env", {})},
        )
    try:
        if "warm" in case:
            wait_until_up(process, log, port)
            time.sleep(case["warm"])
        answers = [post(process, log, port, case["signal"], line) for line in lines(case["input"])]
        time.sleep(case.get("settle", 0))
        process.terminate()
        process.wait(timeout=START_SECONDS)
    finally:
        process.kill()
        process.wait()
        if relay:
            relay.close()
        sink.close()
    items = [item for request in sink.requests for item in flat(case["signal"], request)]
    items = [{key: value for key, value in item.items() if key not in case.get("ignore", [])} for item in items]
    return answers, sorted(json.dumps(item, sort_keys=True) for item in items)


def wait_until_up(process, log, port):
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < end, f"did not start:\n{log.read_text()[-2000:]}"
            time.sleep(0.05)


def lines(name):
    return [line for line in (HERE / "input" / name).read_text().splitlines() if line.strip()]


def post(process, log, port, signal, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/{signal}", body.encode(), {"Content-Type": "application/json"},
    )
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            assert process.poll() is None and time.monotonic() < end, f"did not start:\n{log.read_text()[-2000:]}"
            time.sleep(0.05)


def flat(signal, request):
    """One dictionary an item (a data point for metrics), with its resource and scope."""
    resources, scopes, items = ITEMS[signal]
    for resource in request.get(resources) or []:
        for scope in resource.get(scopes) or []:
            around = {
                "resource": resource.get("resource"), "resource_schema": resource.get("schemaUrl"),
                "scope": scope.get("scope"), "scope_schema": scope.get("schemaUrl"),
            }
            for item in scope.get(items) or []:
                for one in points(item) if signal == "metrics" else [item]:
                    yield bare({**around, "item": one})


def points(metric):
    kinds = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
    kind = next((kind for kind in kinds if kind in metric), None)
    shell = {key: value for key, value in metric.items() if key not in kinds}
    if kind is None:
        yield shell
        return
    about = {key: value for key, value in metric[kind].items() if key != "dataPoints"}
    for point in metric[kind].get("dataPoints") or []:
        yield {**shell, "kind": kind, **about, "point": point}


def bare(node):
    """Without empty fields; attributes sorted; 64-bit numbers as they are written."""
    if isinstance(node, dict):
        if "boolValue" in node or "intValue" in node or "doubleValue" in node or "stringValue" in node:
            return {key: str(value) if key == "intValue" else value for key, value in node.items()}
        out = {key: bare(value) for key, value in node.items()}
        out = {key: value for key, value in out.items() if value not in (None, "", 0, "0", [], {}, False)}
        if "attributes" in out:
            out["attributes"] = sorted(out["attributes"], key=lambda pair: pair.get("key", ""))
        return out
    if isinstance(node, list):
        return [bare(one) for one in node]
    return node


def outputs(foreglow, otelcol, names):
    """Runs the cases; returns how many agreed, and the reports of those that did not."""
    agreed, accepted, wrong = 0, [], []
    for path in sorted(HERE.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            name = f"{path.stem}: {case['name']}"
            if names and not any(part in name for part in names):
                continue
            with tempfile.TemporaryDirectory(prefix="foreglow-differential-") as folder:
                folder = pathlib.Path(folder)
                try:
                    ours = output(foreglow, True, case, folder, otelcol)
                    theirs = output(otelcol, False, case, folder, otelcol)
                except AssertionError as error:
                    wrong.append(f"{name}: {error}")
                    continue
            if not theirs[1] and not case.get("empty"):
                wrong.append(f"{name}: the Go collector sent nothing; say `empty: true` if that is meant")
            elif ours == theirs and "differs" in case:
                wrong.append(f"{name}: agrees now; remove `differs`")
            elif ours == theirs:
                agreed += 1
            elif "differs" in case:
                accepted.append(f"{name}: {case['differs']}")
            else:
                wrong.append(f"{name}: {difference(ours, theirs)}")
    for line in accepted:
        print(f"differs on purpose: {line}")
    return agreed, wrong


def difference(ours, theirs):
    if ours[0] != theirs[0]:
        return f"answered {ours[0]}, the Go collector {theirs[0]}"
    only_ours = [item for item in ours[1] if item not in theirs[1]]
    only_theirs = [item for item in theirs[1] if item not in ours[1]]
    show = lambda items: "\n".join(f"    {item}" for item in items[:2]) or "    (nothing)"
    return (
        f"{len(ours[1])} items, the Go collector {len(theirs[1])}\n"
        f"  only we send:\n{show(only_ours)}\n  only it sends:\n{show(only_theirs)}"
    )


def verdicts(foreglow, otelcol, names):
    """Upstream's own test configurations, read from the Go module cache: accepted and refused alike."""
    cache = pathlib.Path(subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip())
    version = subprocess.run([otelcol, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    name = "host.yaml" if pathlib.Path(otelcol).name == "otelcol-host" else "components.yaml"
    rules = yaml.safe_load((HERE / "verdicts" / name).read_text())
    agreed, accepted, wrong = 0, [], []
    for rule in rules:
        folders = {path.name.rsplit("@", 1)[1]: path for path in cache.glob(rule["module"] + "@v*")}
        wanted = rule.get("version", version)
        folder = folders.get(f"v{wanted}")
        if folder is None:
            wrong.append(f"{rule['module']}: version {wanted} is not in the Go module cache")
            continue
        for path in sorted(folder.glob("testdata/*.y*ml")):
            for name, body in bodies(path, rule["type"]):
                label = f"{rule['section']} {rule['type']} {path.name} {name}"
                if names and not any(part in label for part in names):
                    continue
                reason = next((why for pattern, why in rule.get("differs", {}).items() if re.search(pattern, label)), None)
                ours, theirs = (verdict(program, ours, rule, body) for program, ours in ((foreglow, True), (otelcol, False)))
                if ours[0] == theirs[0] and reason is None:
                    agreed += 1
                elif ours[0] == theirs[0]:
                    wrong.append(f"{label}: agrees now; remove its `differs`")
                elif reason:
                    accepted.append(f"{label}: {reason}")
                else:
                    wrong.append(f"{label}: we {'accept' if ours[0] else 'refuse'} it\n  ours: {ours[1]}\n  theirs: {theirs[1]}")
    for line in accepted:
        print(f"differs on purpose: {line}")
    return agreed, wrong


def bodies(path, kind):
    """The component bodies of one upstream test file: `kind[/name]: body`, a whole collector file, or one body."""
    try:
        tree = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        return
    if "go.opentelemetry.io/collector/" in str(path) and not any(str(name).split("/")[0] == kind for name in tree):
        yield "as a whole", tree or None
        return
    for section in [tree, *(tree.get(s) or {} for s in ("receivers", "processors", "exporters", "extensions"))]:
        for name, body in section.items() if isinstance(section, dict) else []:
            if str(name).split("/")[0] == kind:
                yield name, body


def verdict(program, ours, rule, body):
    """Whether `program validate` takes a file with this one component, and the end of what it said."""
    section, kind = rule["section"], rule["type"]
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": None}}},
        "exporters": {"otlphttp": {"endpoint": "http://127.0.0.1:1"}},
        "service": {"pipelines": {rule["signal"]: {"receivers": ["otlp"], "exporters": ["otlphttp"]}}},
    }
    config.setdefault(section, {})[kind] = body
    if section == "extensions":
        config["service"]["extensions"] = [kind]
    else:
        config["service"]["pipelines"][rule["signal"]][section] = [kind]
    with tempfile.TemporaryDirectory(prefix="foreglow-verdict-") as folder:
        path = pathlib.Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        command = [program, "validate", "--config", path] + ([f"--data={folder}/data"] if ours else [])
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode == 0, " ".join((done.stderr + done.stdout).split())[-300:]


if __name__ == "__main__":
    what, foreglow, otelcol, *names = sys.argv[1:]
    agreed, wrong = {"outputs": outputs, "verdicts": verdicts}[what](foreglow, otelcol, names)
    for one in wrong:
        print(f"DIFFERS {one}")
    print(f"{agreed} agree, {len(wrong)} do not")
    sys.exit(1 if wrong or not agreed else 0)
