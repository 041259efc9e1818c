# SPDX-License-Identifier: Apache-2.0
"""The same pages scraped by the Go collector and by us: what comes out as OTLP must be equal.

Run by the case `scrapes` with an interpreter that has PyYAML: `scrapes.py FOREGLOW OTELCOL [PAGE ...]`, where each
PAGE is `content type=file`, a page of a real program that was kept. A case is a job and the pages its target answers
one after the other; the n-th request of the one must equal the n-th of the other. Times of scrapes, the duration of a
scrape and the receiver's own scope differ by nature; everything else is compared, start times included.
"""

import collections
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from differential import START_SECONDS, Sink, bare, command, flat
from stack import free_port

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"

CLASSIC = """# HELP http_requests_total All requests,\\n by code.
# TYPE http_requests_total counter
http_requests_total{code="200",method="get"} 1027 1395066363000
http_requests_total{code="400",path="C:\\\\dir\\n\\"q\\""} 3
# TYPE temperature gauge
temperature -1.5e-3
temperature{room=""} +Inf
untyped_thing{job="theirs",instance="theirs:1"} NaN
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 4
latency_seconds_bucket{le="1"} 9
latency_seconds_bucket{le="+Inf"} 10
latency_seconds_sum 7.25
latency_seconds_count 10
latency_seconds_bucket{zone="b",le="+Inf"} 1
latency_seconds_count{zone="b"} 1
# TYPE rpc_seconds summary
rpc_seconds{quantile="0.5"} 4773
rpc_seconds{quantile="0.9"} 9001
rpc_seconds_sum 1.7560473e+07
rpc_seconds_count 2693
# TYPE empty_histogram histogram
empty_histogram_sum 1
target_info{version="1.2",region="eu"} 1
scoped{otel_scope_name="lib",otel_scope_version="2",otel_scope_tier="gold",x="1"} 1
"""

OPENMETRICS = """# HELP orders Orders.
# TYPE orders counter
orders_total{plan="gold"} 7 # {trace_id="0af7651916cd43dd8448eb211c80319c",span_id="b7ad6b7169203331",user="u"} 0.5 1520879607.5
orders_created{plan="gold"} 1520430000.123
# TYPE build info
build_info{version="1"} 1
# TYPE state stateset
state{state="on"} 1
state{state="off"} 0
# UNIT size_bytes bytes
# TYPE size_bytes gauge
size_bytes 12
# TYPE speed_meters_per_second gauge
# UNIT speed_meters_per_second meters_per_second
speed_meters_per_second 3
# TYPE h histogram
h_bucket{le="1.0"} 2 # {trace_id="short"} 0.7
h_bucket{le="+Inf"} 3
h_count 3
h_sum 4.5
h_created 1520430001
# TYPE s summary
s_count 5
s_sum 6
s_created 1520430002
# TYPE nothing unknown
nothing 1
# EOF
"""

RULES = [
    {"source_labels": ["__name__"], "regex": "temperature|empty.*", "action": "drop"},
    {"source_labels": ["code"], "regex": "(.).*", "target_label": "class", "replacement": "$${1}xx"},
    {"regex": "method", "action": "labeldrop"},
    {"source_labels": ["path", "zone"], "separator": "-", "target_label": "shard", "modulus": 16, "action": "hashmod"},
    {"regex": "(zo)ne", "replacement": "my_$${1}", "action": "labelmap"},
]

# Series that stand before the mistake of a page are not marked stale by Prometheus, as its documentation says they are.
ENDS = "all series of a page that fails end"

CASES = [
    ("text", {}, [(TEXT, CLASSIC)]),
    ("text, labels of the page win", {"honor_labels": True, "honor_timestamps": False}, [(TEXT, CLASSIC)]),
    ("text, target with labels", {"labels": {"env": "prod", "code": "mine", "__meta_x": "y"}}, [(TEXT, CLASSIC)]),
    ("text, relabelled", {"metric_relabel_configs": RULES}, [(TEXT, CLASSIC)]),
    ("OpenMetrics", {}, [(OPEN, OPENMETRICS)]),
    ("no content type", {}, [("", CLASSIC)]),
    ("series come and go", {}, [
        (TEXT, "# TYPE a counter\na 1\nb 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3\n"),
        (TEXT, "# TYPE a counter\na 2\n"), (TEXT, "# TYPE a counter\na 3\nb 2\n"), (TEXT, "not a page"), (TEXT, "a 4\n"),
    ]),
    ("OpenMetrics cut off", {}, [(OPEN, OPENMETRICS), (OPEN, OPENMETRICS.replace("# EOF\n", ""))], ENDS),
    ("too many samples", {"sample_limit": 3}, [(TEXT, "a 1\nb 2\nc 3\n"), (TEXT, "a 1\nb 2\nc 3\nd 4\n")], ENDS),
    ("too many labels", {"label_limit": 4}, [(TEXT, "a{x=\"1\"} 1\n"), (TEXT, "a{x=\"1\",y=\"2\"} 1\n")]),
    ("extra metrics", {"extra_scrape_metrics": True, "sample_limit": 100}, [(TEXT, "a 1\n")]),
]


class Pages:
    """Answers each client with one page after the other, the last one again and again."""

    def __init__(self, pages):
        asked = collections.Counter()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                client = self.headers["User-Agent"]
                kind, body = pages[min(asked[client], len(pages) - 1)]
                asked[client] += 1
                body = body if isinstance(body, bytes) else body.encode()
                self.send_response(200)
                if kind:
                    self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def start(program, ours, job, target, folder):
    """A running collector that scrapes `target`, and what it sends."""
    sink, job = Sink(), dict(job)
    job = {"job_name": "shop", "scrape_interval": "500ms", "scrape_timeout": "400ms",
           "static_configs": [{"targets": [target], "labels": job.pop("labels", {})}], **job}
    config = {
        "receivers": {"prometheus": {"config": {"scrape_configs": [job]}}},
        "exporters": {"otlphttp": {"endpoint": f"http://127.0.0.1:{sink.port}", "encoding": "json",
                                   "compression": "none", "sending_queue": {"enabled": False}}},
        "service": {"telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {"metrics": {"receivers": ["prometheus"], "exporters": ["otlphttp"]}}},
    }
    path = folder / ("ours.yaml" if ours else "theirs.yaml")
    path.write_text(json.dumps(config))
    with path.with_suffix(".log").open("w") as stream:
        process = subprocess.Popen(
            command(program, ours, path, folder / "data"), stdout=stream, stderr=subprocess.STDOUT)
    return sink, process, path.with_suffix(".log")


def timeless(node):
    if isinstance(node, dict):
        return {key: timeless(value) for key, value in node.items() if key != "timeUnixNano"}
    return [timeless(one) for one in node] if isinstance(node, list) else node


def canonical(request, ends=False):
    items = []
    for item in flat("metrics", request):
        item = timeless(item)
        if item.get("scope", {}).get("name", "").endswith(("receivers/prometheus", "prometheusreceiver")):
            item["scope"] = "the receiver's"
        metric = item["item"]
        if ends and metric["point"].get("flags") == 1:
            continue
        if metric["name"] == "scrape_duration_seconds":
            metric["point"].pop("asDouble", None)
        items.append(json.dumps(item, sort_keys=True))
    return sorted(items)


def compare(foreglow, otelcol, name, job, pages, differs=None):
    server = Pages(pages)
    with tempfile.TemporaryDirectory(prefix="foreglow-scrapes-") as folder:
        running = [start(p, ours, job, server.target, pathlib.Path(folder)) for p, ours in ((foreglow, True), (otelcol, False))]
        try:
            end = time.monotonic() + START_SECONDS
            while any(len(sink.requests) < len(pages) for sink, *_ in running):
                for _, process, log in running:
                    assert process.poll() is None and time.monotonic() < end, f"{name}:\n{log.read_text()[-3000:]}"
                time.sleep(0.05)
        finally:
            for sink, process, _ in running:
                process.kill()
                process.wait()
                sink.close()
            server.server.shutdown()
    wrong = []
    for at in range(len(pages)):
        ours, theirs = (canonical(sink.requests[at], differs == ENDS) for sink, *_ in running)
        if ours != theirs:
            only = lambda a, b: "\n".join(f"    {item}" for item in a if item not in b) or "    (nothing)"
            wrong.append(f"{name}, scrape {at + 1}: {len(ours)} points, the Go collector {len(theirs)}\n"
                         f"  only we send:\n{only(ours, theirs)}\n  only it sends:\n{only(theirs, ours)}")
    return wrong, len(canonical(running[0][0].requests[0]))


def main():
    foreglow, otelcol, *kept = sys.argv[1:]
    cases = list(CASES)
    for page in kept:
        kind, _, file = page.rpartition("=")
        native = {"scrape_native_histograms": True} if "protobuf" in kind else {}
        cases.append((pathlib.Path(file).name, native, [(kind, pathlib.Path(file).read_bytes())]))
    wrong, points = [], 0
    for case in cases:
        found, count = compare(foreglow, otelcol, *case)
        wrong, points = wrong + found, points + count
    print("\n".join(wrong))
    print(f"{len(cases)} pages, {points} points: {'equal' if not wrong else f'{len(wrong)} scrapes differ'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
