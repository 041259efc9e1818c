# SPDX-License-Identifier: Apache-2.0
"""The same telemetry through the Elasticsearch exporter of the Go collector and through ours: equal bulk requests.

Run by the case `bulk_like_go` with an interpreter that has PyYAML: `bulk.py FOREGLOW OTELCOL`. For each mapping mode the
inputs of the differential suite and those below are sent to both, and every pair of action and document that reaches
the bulk API is compared; order and grouping into requests do not matter. Numbers compare as numbers.
"""

import gzip
import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from differential import START_SECONDS, command, lines
from stack import free_port

SECOND = 1_000_000_000
NOW = 1_790_000_000 * SECOND + 123_456_789


class Bulk:
    """Takes bulk requests as Elasticsearch does, and keeps the pairs of lines."""

    def __init__(self):
        self.pairs = []
        bulk = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, content):
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer({"version": {"number": "9.1.0"}, "tagline": "You Know, for Search"})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                rows = [json.loads(line) for line in body.decode().splitlines()]
                bulk.pairs += zip(rows[::2], rows[1::2])
                self.answer({"errors": False, "items": [{next(iter(a)): {"status": 201}} for a in rows[::2]]})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Collector:
    """One of the two, with a receiver and one exporter to a bulk API of its own."""

    def __init__(self, program, ours, settings, folder):
        self.bulk, self.port = Bulk(), free_port()
        name = "ours" if ours else "theirs"
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}", "include_metadata": True}}}},
            "exporters": {"elasticsearch": {"endpoint": f"http://127.0.0.1:{self.bulk.port}",
                                            "sending_queue": {"enabled": False}, **settings}},
            "service": {"telemetry": {"metrics": {"level": "none"}}, "pipelines": {
                signal: {"receivers": ["otlp"], "exporters": ["elasticsearch"]} for signal in ("traces", "metrics", "logs")}},
        }
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps(config))
        self.log = folder / f"{name}.log"
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                command(program, ours, path, folder / "data"), stdout=stream, stderr=subprocess.STDOUT)

    def post(self, signal, body, mode):
        """The pairs that came of one request."""
        before = len(self.bulk.pairs)
        headers = {"Content-Type": "application/json", **({"X-Elastic-Mapping-Mode": mode} if mode else {})}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/{signal}", body.encode(), headers)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=20):
                    break
            except urllib.error.HTTPError as error:
                return ["refused"] if error.code >= 500 else [f"refused with {error.code}"]
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-2000:]
                time.sleep(0.05)
        return sorted(json.dumps(pair_of(*pair), sort_keys=True) for pair in self.bulk.pairs[before:])

    def close(self):
        self.process.kill()
        self.process.wait()
        self.bulk.server.shutdown()


def pair_of(action, document):
    """A pair as it is compared. `require_data_stream` is compared where the name is a data stream's: to a plain index, or one
    with a date, we do not send it, since Elasticsearch would refuse all of it."""
    (name, about), = action.items()
    if not re.fullmatch(r"(logs|metrics|traces)-[^-]*-[^-]*", about["_index"]):
        about = {key: value for key, value in about.items() if key != "require_data_stream"}
    return [canonical({name: about}), canonical(document)]


def canonical(node):
    if isinstance(node, dict):
        return {key: canonical(value) for key, value in node.items()}
    if isinstance(node, list):
        return [canonical(one) for one in node]
    return float(node) if isinstance(node, int) and not isinstance(node, bool) else node


def value(v):
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, dict):
        return {"kvlistValue": {"values": attributes(v)}}
    if isinstance(v, list):
        return {"arrayValue": {"values": [value(one) for one in v]}}
    return {"stringValue": v} if isinstance(v, str) else {"intValue": str(v)} if isinstance(v, int) else {"doubleValue": v}


def attributes(pairs):
    return [{"key": key, "value": value(v)} for key, v in pairs.items()]


def traces(resource, scope, *spans):
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": spans}]}]}


def span(number, name, attrs=None, **more):
    return {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": name, "kind": 2,
            "startTimeUnixNano": str(NOW), "endTimeUnixNano": str(NOW + 5_000_001), "attributes": attributes(attrs or {}), **more}


def logs(resource, scope, *records):
    return {"resourceLogs": [{"resource": {"attributes": attributes(resource)}, "scopeLogs": [{"scope": scope, "logRecords": records}]}]}


def record(body, attrs=None, **more):
    return {"timeUnixNano": str(NOW), "observedTimeUnixNano": str(NOW + 1), "severityNumber": 13, "severityText": "WARN",
            "body": value(body), "attributes": attributes(attrs or {}), **more}


def metrics(resource, scope, *found):
    return {"resourceMetrics": [{"resource": {"attributes": attributes(resource)}, "scopeMetrics": [{"scope": scope, "metrics": found}]}]}


def point(attrs=None, at=NOW, **more):
    return {"timeUnixNano": str(at), "startTimeUnixNano": str(NOW - SECOND), "attributes": attributes(attrs or {}), **more}


RESOURCE = {
    "service.name": "shop", "service.version": "1.2", "service.instance.id": "i-1", "deployment.environment": "prod",
    "host.name": "a", "host.id": "h1", "os.type": "linux", "os.description": "Debian 13", "cloud.provider": "aws",
    "cloud.platform": "aws_ec2", "k8s.pod.name": "p-1", "k8s.namespace.name": "n", "process.pid": 17,
    "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "java", "telemetry.sdk.version": "1.40.0",
    "process.runtime.name": "OpenJDK", "container.image.tag": "v1", "a.b": 1, "list": ["x", 2], "nested": {"in": {"n": 1.5}},
}
LIBRARY = {"name": "lib", "version": "3", "attributes": attributes({"team": "web"})}
RECEIVER = {"name": "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver/internal/scraper/cpu"}
EXCEPTION = {"exception.type": "IOError", "exception.message": "no space", "exception.stacktrace": "at main\nat run"}


def event(name, attrs, at=7):
    return {"timeUnixNano": str(NOW + at), "name": name, "attributes": attributes(attrs)}


SHAPES = {
    "traces": [
        ("a span with everything", traces(RESOURCE, LIBRARY, span(
            1, "GET /a", {"http.request.method": "GET", "http.response.status_code": 200, "client.address": "10.0.0.1", "x": True, "y": 0.5,
                          "empty": "", "user.geo.location.lon": 1.5, "user.geo.location.lat": 2.5, "tags": ["a", "b"], "map": {"k": {"l": "m"}}},
            parentSpanId="00000000000000ff", traceState="a=b", status={"code": 2, "message": "bad"}, droppedAttributesCount=3,
            droppedEventsCount=1, droppedLinksCount=2, events=[event("exception", EXCEPTION), event("cache miss", {"key": "k1"})],
            links=[{"traceId": f"{9:032x}", "spanId": f"{9:016x}", "traceState": "v=1", "attributes": attributes({"why": "retry"})}]))),
        ("kinds and statuses", traces({"service.name": "s"}, {}, *[span(n, f"kind {n}", kind=n, status={"code": n % 3}) for n in range(6)])),
        ("a data stream by attributes", traces(
            {"service.name": "s", "data_stream.namespace": "eu"}, LIBRARY,
            span(2, "own", {"data_stream.dataset": "own/set", "data_stream.type": "logs"}), span(3, "other"))),
        ("an index by attributes", traces({"elasticsearch.index": "by-resource"}, {"name": "n", "attributes": attributes({"elasticsearch.index": "by-scope"})},
                                          span(4, "a", {"elasticsearch.index": "by-span"}), span(5, "b"))),
        ("a mode by scope", traces(RESOURCE, {"name": "s", "attributes": attributes({"elastic.mapping.mode": "raw"})}, span(6, "raw", {"k": "v"}))),
        ("a scope of a receiver", traces({}, RECEIVER, span(7, "r"))),
    ],
    "logs": [
        ("bodies", logs(RESOURCE, LIBRARY, *[record(body) for body in ("text", 1, 0.5, True, ["a", 1], {"k": {"l": 1}, "a.b": 2}, "")])),
        ("attributes", logs(RESOURCE, LIBRARY, record("x", {
            "a.b": 1, "a": "both", "event.name": "login", "exception.stacktrace": "at main", "exception.type": "E", "exception.message": "m",
            "host.geo.location.lat": 1.0, "host.geo.location.lon": 2.0, "list": [1, 2], "map": {"x": {"y": 1}}, "thread.name": "t"},
            traceId=f"{1:032x}", spanId=f"{1:016x}", flags=1, droppedAttributesCount=2))),
        ("an event", logs(RESOURCE, LIBRARY, record("clicked", {"x": 1}, eventName="browser.click"))),
        ("without time", logs({"service.name": "s"}, {}, {**record("late"), "timeUnixNano": "0"})),
        ("ids and pipelines by attribute", logs({}, {}, record("x", {"elasticsearch.document_id": "d-1", "elasticsearch.ingest_pipeline": "p-1"}))),
        ("a data stream by attributes", logs({"data_stream.dataset": "Set*One"}, {"name": "s", "attributes": attributes({"data_stream.namespace": "NS/1"})}, record("x"))),
        ("an index by attributes", logs({}, {}, record("x", {"elasticsearch.index": "mine"}))),
        ("a scope of a receiver", logs({}, RECEIVER, record("x"))),
        ("a mode by scope", logs(RESOURCE, {"attributes": attributes({"elastic.mapping.mode": "bodymap"})}, record({"message": "verbatim", "n": [1]}))),
    ],
    "metrics": [
        ("points that share a document", metrics(
            RESOURCE, LIBRARY,
            {"name": "m.gauge", "unit": "By", "gauge": {"dataPoints": [point({"k": "v"}, asDouble=0.5), point({"k": "w"}, asInt="3")]}},
            {"name": "m.sum", "unit": "By", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point({"k": "v"}, asInt="10")]}},
            {"name": "m.other", "unit": "s", "sum": {"aggregationTemporality": 1, "dataPoints": [point({"k": "v"}, asDouble=1.5), point({"k": "v"}, NOW + SECOND, asDouble=2.0)]}})),
        ("histograms", metrics(
            RESOURCE, LIBRARY,
            {"name": "h.explicit", "unit": "s", "histogram": {"aggregationTemporality": 1, "dataPoints": [
                point({"k": "v"}, count="6", sum=1.5, bucketCounts=["1", "2", "0", "3"], explicitBounds=[0.1, 1.0, 5.0])]}},
            {"name": "h.hinted", "unit": "s", "histogram": {"aggregationTemporality": 1, "dataPoints": [
                point({"elasticsearch.mapping.hints": ["aggregate_metric_double", "_doc_count"]}, count="6", sum=1.5, bucketCounts=["6"], explicitBounds=[])]}},
            {"name": "h.exponential", "unit": "By", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [
                point({}, count="8", sum=99.5, scale=2, zeroCount="1", positive={"offset": -1, "bucketCounts": ["1", "0", "5"]},
                      negative={"offset": 0, "bucketCounts": ["1"]})]}},
            {"name": "summary", "unit": "ms", "summary": {"dataPoints": [
                point({}, count="3", sum=6.0, quantileValues=[{"quantile": 0.5, "value": 2.0}])]}})),
        ("a data stream by attributes", metrics({"data_stream.dataset": "d"}, {}, {"name": "g", "gauge": {"dataPoints": [point({"data_stream.namespace": "n"}, asDouble=1.0)]}})),
        ("a scope of a receiver", metrics({}, RECEIVER, {"name": "system.cpu.time", "unit": "s", "gauge": {"dataPoints": [point({"cpu": "0"}, asDouble=1.0)]}})),
        ("no value, nothing counted", metrics({}, {}, {"name": "none", "gauge": {"dataPoints": [point({}, flags=1), point({"a": "b"}, asDouble=2.0)]}})),
    ],
}

MODES = ["", "otel", "ecs", "none", "raw", "bodymap"]
SETTINGS = [
    ({}, MODES),
    ({"logs_index": "app-logs", "traces_index": "app-traces", "metrics_index": "app-metrics"}, ["otel", "ecs", "none"]),
    ({"logs_dynamic_id": {"enabled": True}, "logs_dynamic_pipeline": {"enabled": True}, "traces_dynamic_id": {"enabled": True}, "pipeline": "all"}, ["otel", "none"]),
    ({"logstash_format": {"enabled": True}, "logs_index": "app"}, ["none", "ecs"]),
]

# What differs on purpose: (signal, name of the shape or "", mode or "") -> why.
REFUSES = "the Go collector answers 500 to what the mode has no document for; we take it and count it as rejected"
DIFFERS = {
    ("metrics", "", "none"): REFUSES, ("metrics", "", "raw"): REFUSES, ("metrics", "", "bodymap"): REFUSES,
    ("traces", "", "bodymap"): REFUSES,
    ("metrics", "no value, nothing counted", ""): "we make no document without a value",
}
# Nothing of these shapes reaches the mode of its name: a scope has a mode of its own, or is empty.
OF_ITS_OWN = {("traces", "a mode by scope")}


def requests(signal):
    for number, line in enumerate(lines(f"{signal}.json")):
        yield f"the suite's input {number}", line
    for name, body in SHAPES[signal]:
        yield name, json.dumps(body)


def reason(signal, name, mode):
    if (signal, name) in OF_ITS_OWN:
        return None
    return next((why for (s, n, m), why in DIFFERS.items() if s == signal and n in ("", name) and m in ("", mode)), None)


def main():
    foreglow, otelcol = sys.argv[1:]
    agreed, documents, wrong = 0, 0, []
    for settings, modes in SETTINGS:
        with tempfile.TemporaryDirectory(prefix="foreglow-bulk-") as folder:
            running = [Collector(p, ours, settings, pathlib.Path(folder)) for p, ours in ((foreglow, True), (otelcol, False))]
            try:
                for mode in modes:
                    for signal in SHAPES:
                        for name, body in requests(signal):
                            ours, theirs = (one.post(signal, body, mode) for one in running)
                            why, label = reason(signal, name, mode), f"{settings} {mode or 'no mode'}, {signal}, {name}"
                            if (ours == theirs) == (why is None):
                                agreed, documents = agreed + (why is None), documents + len(ours) * (why is None)
                            elif why:
                                wrong.append(f"{label}: agrees now; take it out of DIFFERS")
                            else:
                                wrong.append(f"{label}:\n  only we send:\n{only(ours, theirs)}\n  only it sends:\n{only(theirs, ours)}")
            finally:
                for one in running:
                    one.close()
    print("\n".join(wrong))
    for key, why in DIFFERS.items():
        print(f"differs on purpose: {', '.join(part for part in key if part)}: {why}")
    print(f"{agreed} requests give the same {documents} documents as the Go collector's, {len(wrong)} do not")
    sys.exit(bool(wrong))


def only(a, b):
    return "\n".join(f"    {item}" for item in a if item not in b) or "    (nothing)"


if __name__ == "__main__":
    main()
